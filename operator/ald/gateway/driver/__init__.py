"""Process: the driver. Its first process supervises; the executor, its child, owns the link and keeps time."""
