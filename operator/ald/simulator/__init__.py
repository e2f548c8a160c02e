"""A PLC with a reactor behind it, built from a Machine: the independent witness of what reached the wire."""
