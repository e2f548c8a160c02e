"""The logger: from every gateway's feed to the history, each record once."""
