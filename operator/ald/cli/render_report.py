"""The report of a run for a person. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType

from ald.cli.render import columns, count, milliseconds, moment, number, span, sparkline
from ald.program.go_on import go_on
from ald.store.report import Feed, Report, Run, Stored
from ald.store.report_cycles import Loop
from ald.store.widths import Pulse, Widths

_LABEL_WIDTH = 10


def summary_lines(report: Report) -> tuple[str, ...]:
    """Return the main facts, one a line."""
    run = report.run
    facts = [
        ("Run", f"{run.name or run.uid} in namespace {run.namespace}"),
        ("Machine", run.machine),
        ("Recipe", _recipe(run)),
        ("Outcome", outcome(run)),
        *(("Attempts", text) for text in attempts(run)),
        *(("Cycles", cycles(loop)) for loop in report.loops),
        *(("Go on", text) for text in rest(report)),
        ("Pulses", pulses(report.widths)),
        *(("Timing", text) for text in timing(run, report.widths)),
        ("Stored", stored(report.stored)),
        *(("Gaps", gaps(feed)) for feed in report.stored.feeds),
    ]
    return tuple(f"{label:<{_LABEL_WIDTH}}{text}" for label, text in facts)


def report_page(report: Report) -> tuple[RenderableType, ...]:
    """Return everything that the report holds."""
    run = report.run
    times = f"{'Started':<{_LABEL_WIDTH}}{moment(run.started)}, ended {moment(run.ended)}"
    parts: list[RenderableType] = [*summary_lines(report), times]
    if report.steps:
        parts += ["", _steps(report)]
    if report.pulses:
        parts += ["", _pulses(report.pulses)]
    if report.traces:
        parts += ["", _traces(report)]
    return tuple(parts)


def outcome(run: Run) -> str:
    """Return how the run ended, or how it stands."""
    if run.outcome is None:
        held = f", held: {run.held}" if run.held else ""
        at = f" at step {run.step}" if run.step else ""
        return f"not ended{at}{held}"
    lasted = ""
    if run.started is not None and run.ended is not None:
        lasted = f" after {span((run.ended - run.started).total_seconds())}"
    by = f", asked for by {run.ended_by}" if run.ended_by else ""
    why = f": {run.message}" if run.message else ""
    return f"{run.outcome}{lasted}{by}{why}"


def attempts(run: Run) -> tuple[str, ...]:
    """Return how often the run was taken up; nothing where it never was."""
    times = run.attempts - 1
    if not times:
        return ()
    return (f"{run.attempts}: taken up {count(times, 'time')} after a restart of the gateway",)


def cycles(loop: Loop) -> str:
    """Return how far an outermost loop came."""
    if loop.first == 1:
        return f"{loop.begun:,} of {loop.count:,} begun in {loop.name}"
    if not loop.begun:
        return f"none of {loop.first:,} to {loop.count:,} begun in {loop.name}"
    return f"{loop.first:,} to {loop.begun:,} of {loop.count:,} begun in {loop.name}"


def rest(report: Report) -> tuple[str, ...]:
    """Return where another run can take this one up, when it ended in a loop before its end, and how far it came is known."""
    reached = report.reached
    if report.run.outcome in (None, "Completed") or reached is None or not report.run.exact:
        return ()
    text = go_on(reached.step, reached.iterations)
    return (text,) if text else ()


def pulses(widths: Widths) -> str:
    """Return how many there were, how exact, and which was the worst."""
    if not widths.count:
        return "none"
    rest = widths.count - widths.whole - widths.by_plc
    cut = f" ({rest:,} of them cut short or not confirmed)" if rest else ""
    by_plc = (
        f"; {widths.by_plc:,} timed by the PLC, not measured, to {milliseconds(widths.plc_uncertainty_ns)} ms"
        if widths.by_plc
        else ""
    )
    if widths.worst is None:
        return (
            f"{widths.count:,}{cut}{by_plc}" if by_plc else f"{widths.count:,}, none of them whole"
        )
    quantiles = (
        f"width error p50 {milliseconds(widths.p50_ns)} ms, p99 {milliseconds(widths.p99_ns)} ms"
    )
    return f"{widths.count:,}{cut}; {quantiles}, worst {_worst(widths.worst)}{by_plc}"


def timing(run: Run, widths: Widths) -> tuple[str, ...]:
    """Return whether the pulses were as exact as the recipe wants them; nothing where it says nothing or none was whole."""
    if run.max_relative_error is None or not widths.whole:
        return ()
    limits = [f"{run.max_relative_error:.1%}"]
    is_met = widths.max_relative <= run.max_relative_error
    if run.max_error_ns is not None:
        limits.append(f"{milliseconds(run.max_error_ns)} ms")
        is_met = is_met and widths.max_ns <= run.max_error_ns
    verdict = "met" if is_met else "MISSED"
    found = f"largest width errors {widths.max_relative:.1%} and {milliseconds(widths.max_ns)} ms"
    return (f"{verdict}: {found}; the recipe allows {' and '.join(limits)}",)


def stored(rows: Stored) -> str:
    """Return how much is in the database, and whether it is all."""
    parts = [f"{count(rows.scans, 'scan')}, {count(rows.values, 'row')}"]
    if rows.values != rows.expected:
        parts.append(f"the scans hold {rows.expected:,} values: the difference is MISSING")
    if rows.rejected:
        parts.append(f"{count(rows.rejected, 'record')} REJECTED, see dead_letters")
    return "; ".join(parts)


def gaps(feed: Feed) -> str:
    """Return whether positions are missing in the stretch of a feed that holds the run."""
    where = f"positions {feed.first:,} to {feed.last:,} of feed {feed.feed}"
    if not feed.missing:
        return f"none in {where}"
    why = f" ({'; '.join(feed.reasons)})" if feed.reasons else ""
    return f"{count(feed.missing, 'position')} MISSING in {where}{why}"


def _recipe(run: Run) -> str:
    inputs = ", ".join(f"{name}={value}" for name, value in run.inputs.items())
    return f"{run.recipe or '-'}{f' with {inputs}' if inputs else ''}"


def _worst(pulse: Pulse) -> str:
    cycle = f" in cycle {'/'.join(str(n) for n in pulse.iterations)}" if pulse.iterations else ""
    wanted = f" of {milliseconds(pulse.open_ns)} ms" if pulse.open_ns is not None else ""
    return f"{_signed(pulse.error_ns)} ms: {pulse.step or pulse.valve}{wanted}{cycle}"


def _signed(error_ns: int | None) -> str:
    return "-" if error_ns is None else f"{error_ns / 1e6:+.3f}"


def _steps(report: Report) -> RenderableType:
    headings = ("step", "kind", ">done", ">failed", ">shortest", ">median", ">longest")
    table = columns("Steps", *headings)
    for step in report.steps:
        times = (span(t) for t in (step.shortest_s, step.median_s, step.longest_s))
        table.add_row(
            step.name or step.path, step.kind, f"{step.count:,}", f"{step.failed:,}", *times
        )
    return table


def _pulses(rows: tuple[Pulse, ...]) -> RenderableType:
    headings = (">step", "name", "valve", "cycle", "opened", ">open ms", ">error ms", ">± ms")
    table = columns("Pulses", *headings, "closing")
    for pulse in rows:
        table.add_row(
            str(pulse.ordinal),
            pulse.step,
            pulse.valve,
            "/".join(str(n) for n in pulse.iterations),
            "-" if pulse.opened is None else f"{pulse.opened:%H:%M:%S.%f}"[:-3],
            milliseconds(pulse.open_ns),
            "by PLC" if pulse.by_plc else _signed(pulse.error_ns),
            milliseconds(pulse.uncertainty_ns),
            pulse.outcome if pulse.whole else f"{pulse.outcome}, cut short or not confirmed",
        )
    return table


def _traces(report: Report) -> RenderableType:
    headings = ("parameter", "unit", ">minimum", ">mean", ">maximum", ">values", ">bad", "course")
    table = columns("Traces", *headings)
    for row in _trace_rows(report):
        table.add_row(*row)
    return table


def _trace_rows(report: Report) -> Iterator[tuple[str, ...]]:
    for trace in report.traces:
        yield (
            trace.name,
            trace.unit,
            *(number(v) for v in (trace.minimum, trace.mean, trace.maximum)),
            f"{trace.count:,}",
            f"{trace.bad:,}",
            sparkline(trace.points),
        )
