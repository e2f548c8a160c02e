"""The pulses of one run as they are on record, and how exact they were. Pure."""

import datetime

import msgspec


class Pulse(msgspec.Struct, frozen=True, kw_only=True):
    """One opening of a valve. `error_ns` is measured minus commanded width; None where the measured one is not known.

    `by_plc`: the PLC timed it, so that nobody measured it, and it is as exact as `uncertainty_ns` says. `whole` is False for one that an abort cut short, that failed, or of which the end is not known.
    """

    ordinal: int
    step: str
    valve: str
    iterations: tuple[int, ...]
    opened: datetime.datetime | None
    open_ns: int | None
    error_ns: int | None
    uncertainty_ns: int | None
    outcome: str
    whole: bool
    by_plc: bool = False


class Widths(msgspec.Struct, frozen=True, kw_only=True):
    """All pulses, and the absolute width errors of the whole ones; 0 and None where there is no whole one.

    `by_plc` more are whole that the PLC timed: they have no error, and an uncertainty of at most `plc_uncertainty_ns`.
    """

    count: int
    whole: int
    by_plc: int = 0
    plc_uncertainty_ns: int = 0
    p50_ns: int
    p99_ns: int
    max_ns: int
    max_relative: float
    worst: Pulse | None


def widths(pulses: tuple[Pulse, ...]) -> Widths:
    """Return the width errors of the whole pulses; percentiles are the nearest rank."""
    timed = [p for p in pulses if p.whole and p.by_plc]
    whole = sorted(
        (p for p in pulses if p.whole and not p.by_plc), key=lambda p: abs(p.error_ns or 0)
    )
    errors = [abs(p.error_ns or 0) for p in whole] or [0]
    return Widths(
        count=len(pulses),
        whole=len(whole),
        by_plc=len(timed),
        plc_uncertainty_ns=max((p.uncertainty_ns or 0 for p in timed), default=0),
        p50_ns=_percentile(errors, 50),
        p99_ns=_percentile(errors, 99),
        max_ns=errors[-1],
        max_relative=max(
            (abs(p.error_ns or 0) / max(1, p.open_ns or 1) for p in whole), default=0.0
        ),
        worst=whole[-1] if whole else None,
    )


def _percentile(ordered: list[int], percent: int) -> int:
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]
