"""From what users write to what runs: Machine to Plant, Recipe and Plant to Program. The only reader of `ald.api` below."""
