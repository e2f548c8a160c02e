"""What the gateway puts on record, scans and events, and their bytes."""
