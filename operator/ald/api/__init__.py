"""What users write: typed models of the resources, their validation, and the schemas generated from them."""
