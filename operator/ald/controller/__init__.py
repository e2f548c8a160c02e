"""The operator: resources in, child objects and orders to gateways out, every status by its hand.

handlers -> decide (pure) -> apply. kopf is known to `app` and `handlers` only.
"""
