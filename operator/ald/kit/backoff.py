"""How long to wait before trying again."""


def delay_s(attempt: int, *, base_s: float, cap_s: float, unit_random: float) -> float:
    """Return the wait before retry number `attempt` (from 1), in seconds: doubling from `base_s`, at most `cap_s`, jittered.

    `unit_random` is in [0, 1); the wait lies between half of and the whole exponential delay, so that many waiters spread
    out but none hammers.
    """
    assert attempt >= 1, "attempts count from 1"
    assert 0.0 <= unit_random < 1.0, "unit_random is in [0, 1)"
    whole = min(cap_s, base_s * 2.0 ** min(attempt - 1, 60))
    return whole * (0.5 + unit_random / 2.0)
