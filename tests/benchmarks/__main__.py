"""`hack/bench`: measure one part of the product or all of them, or compare what was measured with the stored baseline."""

import argparse
import datetime
import sys

from benchmarks import catalogue, machine, report
from benchmarks.calm import Calm
from benchmarks.rounds import ROUNDS_MAX, STEAL_MAX, Benchmark, Options, run

SMOKE_SCALE = 0.01


def main(arguments: list[str]) -> int:
    """Return how the process should end: 0, 1 (bar missed or fallen behind), 2 (usage), 3 (too few quiet rounds)."""
    options = _parser().parse_args(arguments)
    names = list(catalogue.NAMES) if options.name in ("all", "compare") else [options.name]
    if options.name == "compare":
        return compare(names)
    codes: list[int] = []
    found: dict[str, object] = {}
    for name in names:
        benchmark = catalogue.load(name)
        code, figures = measure(benchmark, _options(benchmark, options), is_baseline=options.store)
        codes.append(code)
        found[name] = figures
    if options.name == "all":
        say(report.json_line("all", found))
    return max(codes)


def measure(
    benchmark: Benchmark, options: Options, *, is_baseline: bool
) -> tuple[int, dict[str, float | None]]:
    """Measure, say and keep the outcome."""
    host = machine.here()
    # A smoke run measures nothing, so that it need not wait for a quiet host.
    wait = Calm(STEAL_MAX).wait if options.scale >= 1 else lambda: None
    outcome = run(benchmark, options, tell=_progress, wait=wait)
    saved = report.Saved(
        name=benchmark.name,
        at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        machine=host,
        options=options,
        outcome=outcome,
    )
    report.save(saved)
    if is_baseline:
        report.store_baseline(saved)
    say(report.table(benchmark, saved))
    say(report.json_line(benchmark.name, outcome.figures))
    return report.exit_code(benchmark, outcome), outcome.figures


def compare(names: list[str]) -> int:
    """Compare the latest outcomes with the baseline; those that never ran are said to be missing."""
    baseline = report.load_baseline()
    say("| figure | baseline | now | worst allowed | |\n| --- | --- | --- | --- | --- |")
    is_behind, compared = False, 0
    for name in names:
        latest = report.load_latest(name)
        if name not in baseline or latest is None:
            what = "no baseline" if name not in baseline else f"not measured yet: hack/bench {name}"
            say(f"| {name} | | | | {what} |")
            continue
        rows, behind = report.compare(catalogue.load(name), baseline[name], latest)
        say("\n".join(rows))
        is_behind |= behind
        compared += 1
    if not compared:
        say("nothing to compare: run hack/bench NAME first")
        return report.USAGE
    return report.MISSED if is_behind else report.OK


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _progress(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def _options(benchmark: Benchmark, given: argparse.Namespace) -> Options:
    return Options(
        rounds=given.rounds or benchmark.rounds,
        scale=SMOKE_SCALE if given.smoke else 1.0,
        soak_s=given.soak,
    )


def _rounds(text: str) -> int:
    number = int(text)
    if not 5 <= number <= ROUNDS_MAX:
        raise argparse.ArgumentTypeError(f"rounds are 5 to {ROUNDS_MAX}, got {number}")
    return number


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hack/bench",
        description=__doc__,
        epilog="Ends with 0: every bar reached; 1: a bar missed, or (compare) fallen behind the baseline; 2: wrong usage;"
        " 3: fewer than five rounds without steal, so no figure.",
    )
    parser.add_argument(
        "name", choices=(*catalogue.NAMES, *catalogue.ON_A_CLUSTER, "all", "compare")
    )
    parser.add_argument("--rounds", type=_rounds, default=0, help="quiet rounds wanted, 5 to 20")
    parser.add_argument(
        "--soak",
        type=float,
        default=3600.0,
        metavar="SECONDS",
        help="how long `gateway` is watched for growing memory, 0 for not at all (default: an hour)",
    )
    parser.add_argument(
        "--smoke",
        action="store_true",
        help="tiny counts: shows that it works, and measures nothing",
    )
    parser.add_argument(
        "--store", action="store_true", help="make the outcome the baseline for `compare`"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
