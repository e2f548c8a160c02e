"""The history in PostgreSQL; no other package speaks SQL."""
