"""The program `ald`: what people type."""
