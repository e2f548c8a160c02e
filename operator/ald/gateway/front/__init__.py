"""The front: HTTPS interface, journal, spool and feed of one machine."""
