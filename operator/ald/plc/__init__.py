"""The link to the PLC: requests, their bytes, lanes and deadlines, and the one TCP connection."""
