"""Rounds of a benchmark: enough quiet ones, or no figure at all."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager

import msgspec

from benchmarks import steal
from benchmarks.figures import Figure, Statistics, describe

QUIET_MIN = 5
"""Fewer quiet rounds than this give no figure."""

ROUNDS_MAX = 20
"""Rounds in all, the disturbed ones included."""

STEAL_MAX = 0.003
"""A round in which the host took more than this share of the processors is repeated."""

Round = Callable[[int], Mapping[str, float]]
"""Measures once; takes the number of the round, gives a value for each figure, and for whatever else is worth a row."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """scale: 1 measures in full; a smoke run takes less of everything. soak_s: length of the long watch of `gateway`, 0 for none."""

    rounds: int
    scale: float = 1.0
    soak_s: float = 0.0


class Benchmark(msgspec.Struct, frozen=True, kw_only=True):
    """What `hack/bench NAME` runs. `ready` sets everything up and gives the round; `reference` names what it is compared with.

    soak: measured once, after the rounds, and only when asked for by `Options.soak_s`.
    """

    name: str
    title: str
    reference: str
    figures: tuple[Figure, ...]
    ready: Callable[[Options], AbstractContextManager[Round]]
    rounds: int = 10
    soak: Callable[[Options], Mapping[str, float]] | None = None
    soak_figures: tuple[Figure, ...] = ()

    @property
    def all_figures(self) -> tuple[Figure, ...]:
        """Those of the rounds, then those of the soak."""
        return self.figures + self.soak_figures


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came out: the figures, null where too few rounds were quiet, and everything they come from.

    broken: why there is no figure of the long watch that was asked for.
    """

    figures: dict[str, float | None]
    statistics: dict[str, Statistics]
    rounds: int
    repeated: int
    steal_most: float
    broken: str = ""

    @property
    def is_quiet(self) -> bool:
        """True when enough rounds were undisturbed."""
        return self.rounds - self.repeated >= QUIET_MIN


def run(
    benchmark: Benchmark,
    options: Options,
    *,
    ticks: Callable[[], steal.Ticks] = steal.read,
    tell: Callable[[str], None] = lambda _: None,
    wait: Callable[[], None] = lambda: None,
) -> Outcome:
    """Measure until `options.rounds` rounds were quiet, or there were `ROUNDS_MAX`; a smoke run repeats none.

    `wait` comes before each round.
    """
    wanted = max(QUIET_MIN, options.rounds)
    # A smoke run measures nothing, so that none of its rounds is worth another try.
    most = ROUNDS_MAX if options.scale >= 1 else wanted
    quiet: list[Mapping[str, float]] = []
    shares: list[float] = []
    with benchmark.ready(options) as measure:
        while len(quiet) < wanted and len(shares) < most:
            wait()
            before = ticks()
            values = measure(len(shares))
            shares.append(steal.share(before, ticks()))
            is_quiet = shares[-1] <= STEAL_MAX
            if is_quiet:
                quiet.append(values)
            word = "quiet" if is_quiet else "repeated"
            shown = ", ".join(f"{key} {value:.4g}" for key, value in values.items())
            tell(f"round {len(shares)}: {word}, steal {shares[-1]:.2%}: {shown}")
    outcome = settle(benchmark, quiet, shares)
    if benchmark.soak is None:
        return outcome
    found: Mapping[str, float] = {}
    broken = ""
    if options.soak_s > 0:
        try:
            found = benchmark.soak(options)
        except Exception as error:  # noqa: BLE001 -- what the rounds have measured is not lost with it
            broken = f"{type(error).__name__}: {error}"
            tell(f"the watch came to nothing: {broken}")
    more = {figure.name: found.get(figure.name) for figure in benchmark.soak_figures}
    return msgspec.structs.replace(outcome, figures=outcome.figures | more, broken=broken)


def settle(benchmark: Benchmark, quiet: list[Mapping[str, float]], shares: list[float]) -> Outcome:
    """Return the figures from the quiet rounds; without enough of them each is None."""
    enough = len(quiet) >= QUIET_MIN
    columns = {key: [values[key] for values in quiet] for key in (quiet[0] if quiet else {})}
    return Outcome(
        figures={
            figure.name: figure.of(columns[figure.name]) if enough else None
            for figure in benchmark.figures
        },
        statistics={key: describe(values) for key, values in columns.items()},
        rounds=len(shares),
        repeated=len(shares) - len(quiet),
        steal_most=max(shares, default=0.0),
    )
