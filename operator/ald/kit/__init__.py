"""What every process needs and no domain knows: clock, settings, logs, backoff, TLS. Does I/O; the pure core may not import it."""
