"""What a benchmark leaves behind: a table for people, one JSON line for programs, a file, and the comparison with the baseline."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from benchmarks.figures import Better, Figure
from benchmarks.machine import Machine
from benchmarks.rounds import Benchmark, Options, Outcome

ROOT = Path(__file__).parents[2]
BASELINE = Path(__file__).with_name("baseline.json")
SAVED = ROOT / ".cache" / "bench"

OK = 0
MISSED = 1
USAGE = 2
UNQUIET = 3


class Saved(msgspec.Struct, frozen=True, kw_only=True):
    """One benchmark's outcome, as kept in `.cache/bench` and, as the baseline, in the repository."""

    name: str
    at: str
    machine: Machine
    options: Options
    outcome: Outcome


def exit_code(benchmark: Benchmark, outcome: Outcome) -> int:
    """Return how a process should end: 3 without enough quiet rounds, 1 with a bar missed or a watch that came to nothing."""
    if not outcome.is_quiet:
        return UNQUIET
    missed = [f for f in benchmark.all_figures if f.holds(outcome.figures[f.name]) is False]
    return MISSED if missed or outcome.broken else OK


def json_line(name: str, figures: Mapping[str, object]) -> str:
    """Return the one line that programs read."""
    return msgspec.json.encode({"name": name, "figures": figures}).decode()


def table(benchmark: Benchmark, saved: Saved) -> str:
    """Return the outcome for people, in Markdown."""
    machine, outcome = saved.machine, saved.outcome
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    busy = " - **measured on a busy machine**" if machine.is_busy else ""
    host = f"{machine.processor}, {machine.processors} processors, {machine.memory_mib} MiB"
    software = f"Linux {machine.kernel}, Python {machine.python}, {versions}"
    repeated = f"{outcome.repeated} repeated for steal, most steal {outcome.steal_most:.2%}"
    lines = [
        f"## {benchmark.name}: {benchmark.title}",
        "",
        f"Reference in the same round: {benchmark.reference}.",
        f"{saved.at}; {host}, {software}.",
        f"Load before {machine.load:.2f}{busy}; {outcome.rounds} rounds, {repeated}.",
        "",
        "| figure | value | unit | bar | | mean | s.d. | least | p50 | p95 | p99 | most |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
        *(_row(figure, outcome) for figure in benchmark.all_figures),
        *_other_rows(benchmark, outcome),
    ]
    return "\n".join(lines)


def _row(figure: Figure, outcome: Outcome) -> str:
    value = outcome.figures[figure.name]
    sign = "≤" if figure.better is Better.LOWER else "≥"
    bar = "" if figure.bar is None else f"{sign} {figure.bar:g}"
    word = {True: "ok", False: "MISSED", None: ""}[figure.holds(value)]
    shown = "null" if value is None else f"{value:.4g}"
    return f"| `{figure.name}` | {shown} | {figure.unit} | {bar} | {word} |{_cells(figure.name, outcome)}"


def _other_rows(benchmark: Benchmark, outcome: Outcome) -> Iterator[str]:
    known = {figure.name for figure in benchmark.all_figures}
    for name in outcome.statistics:
        if name not in known:
            yield f"| {name} | | | | |{_cells(name, outcome)}"


def _cells(name: str, outcome: Outcome) -> str:
    found = outcome.statistics.get(name)
    if found is None:
        return " | | | | | | |"
    values = (
        found.mean,
        found.deviation,
        found.least,
        found.p50,
        found.p95,
        found.p99,
        found.most,
    )
    return "".join(f" {value:.4g} |" for value in values)


# Files.


def save(saved: Saved) -> Path:
    """Keep the outcome: as the latest one of its benchmark, and for good under its time."""
    text = msgspec.json.format(msgspec.json.encode(saved))
    history = SAVED / "history" / f"{saved.name}-{saved.at.replace(':', '')}.json"
    history.parent.mkdir(parents=True, exist_ok=True)
    for path in (SAVED / f"{saved.name}.json", history):
        path.write_bytes(text)
    return history


def load_latest(name: str) -> Saved | None:
    """Return the latest outcome of a benchmark, None when it never ran here."""
    path = SAVED / f"{name}.json"
    return msgspec.json.decode(path.read_bytes(), type=Saved) if path.exists() else None


def load_baseline() -> dict[str, Saved]:
    """Return the stored baseline, by benchmark."""
    if not BASELINE.exists():
        return {}
    return msgspec.json.decode(BASELINE.read_bytes(), type=dict[str, Saved])


def store_baseline(saved: Saved) -> None:
    """Make this outcome the one to compare with."""
    whole = load_baseline() | {saved.name: saved}
    BASELINE.write_bytes(msgspec.json.format(msgspec.json.encode(whole, order="sorted")) + b"\n")


def compare(benchmark: Benchmark, baseline: Saved, latest: Saved) -> tuple[list[str], bool]:
    """Return a table row for each figure, and whether one is behind the baseline by more than its bound."""
    rows, is_behind = [], False
    for figure in benchmark.all_figures:
        before = baseline.outcome.figures.get(figure.name)
        now = latest.outcome.figures.get(figure.name)
        name = f"{benchmark.name}.{figure.name}"
        if before is None or now is None:
            rows.append(f"| {name} | {before} | {now} | | not compared |")
            continue
        has_regressed = figure.has_regressed(before, now)
        is_behind |= has_regressed
        word = "REGRESSED" if has_regressed else "ok"
        rows.append(f"| {name} | {before:.4g} | {now:.4g} | {figure.bound(before):.4g} | {word} |")
    return rows, is_behind
