"""From models to custom resource definitions: the schema converter, the kinds, and the documents."""
