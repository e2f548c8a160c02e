"""What a benchmark measures: its figures with their bars, and the statistics over its rounds."""

import enum
import math
import statistics
from collections.abc import Callable, Sequence

import msgspec


class Better(enum.Enum):
    """Which way a figure improves."""

    LOWER = "lower"
    HIGHER = "higher"


class Over(enum.Enum):
    """How the rounds' values of a figure become one."""

    MEDIAN = "median"
    WORST = "worst"
    SUM = "sum"


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One number that a benchmark gives.

    bar: what it must reach, None for a number that is only shown. drift: how far it may fall behind the stored baseline, as a
    share of it, and `drift_least` in its own unit where that is more: half of almost nothing is noise.
    """

    name: str
    unit: str = ""
    better: Better = Better.LOWER
    over: Over = Over.MEDIAN
    bar: float | None = None
    drift: float = 0.3
    drift_least: float = 0.0

    def holds(self, value: float | None) -> bool | None:
        """Tell whether the bar is reached; None without a bar or without a value."""
        if self.bar is None or value is None:
            return None
        return value <= self.bar if self.better is Better.LOWER else value >= self.bar

    def bound(self, baseline: float) -> float:
        """Return the worst value that does not count as fallen behind `baseline`."""
        room = max(abs(baseline) * self.drift, self.drift_least)
        return baseline + room if self.better is Better.LOWER else baseline - room

    def has_regressed(self, baseline: float, value: float) -> bool:
        """Tell whether `value` is behind `baseline` by more than the bound."""
        bound = self.bound(baseline)
        return value > bound if self.better is Better.LOWER else value < bound

    def of(self, values: Sequence[float]) -> float:
        """Return the figure from the values of the rounds."""
        match self.over:
            case Over.MEDIAN:
                return statistics.median(values)
            case Over.WORST:
                return max(values) if self.better is Better.LOWER else min(values)
            case Over.SUM:
                return math.fsum(values)


class Statistics(msgspec.Struct, frozen=True, kw_only=True):
    """What the rounds' values of one figure look like."""

    count: int
    mean: float
    deviation: float
    least: float
    p50: float
    p95: float
    p99: float
    most: float


def quantile(values: Sequence[float], share: float) -> float:
    """Return the smallest of the values that at least `share` of them do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def describe(values: Sequence[float]) -> Statistics:
    """Return the statistics; there must be a value. The deviation is that of a sample, 0 for a single one."""
    return Statistics(
        count=len(values),
        mean=statistics.fmean(values),
        deviation=statistics.stdev(values) if len(values) > 1 else 0.0,
        least=min(values),
        p50=quantile(values, 0.5),
        p95=quantile(values, 0.95),
        p99=quantile(values, 0.99),
        most=max(values),
    )


def in_turn(
    number: int, contenders: dict[str, Callable[[], float]], *, laps: int = 1
) -> dict[str, list[float]]:
    """Measure all contenders `laps` times in turn, each round and lap from another one on; nobody is always the first."""
    names = list(contenders)
    found: dict[str, list[float]] = {name: [] for name in names}
    for lap in range(laps):
        shift = (number + lap) % len(names)
        for name in names[shift:] + names[:shift]:
            found[name].append(contenders[name]())
    return found
