import datetime

import msgspec
import pytest

from ald.cli.render_report import (
    cycles,
    gaps,
    outcome,
    pulses,
    report_page,
    stored,
    summary_lines,
    timing,
)
from ald.store.report import Feed, Report, Run, Step, Stored, Trace
from ald.store.report_cycles import Loop
from ald.store.widths import Pulse, Widths, widths
from ald.wire import Reached
from unit.cli.pages import printed

BEGIN = datetime.datetime(2025, 1, 1, 12, tzinfo=datetime.UTC)

RUN = Run(
    uid="u-1",
    namespace="lab",
    name="first",
    machine_id=1,
    machine="reactor-1",
    recipe="al2o3",
    inputs={"cycles": 2, "fast": True},
    status="completed",
    outcome="Completed",
    message="",
    ended_by="",
    started=BEGIN,
    ended=BEGIN + datetime.timedelta(seconds=75),
    step="rinse",
    held="",
)
FEED = Feed(feed="f", first=10, last=2000, missing=0, reasons=())
STORED = Stored(scans=700, values=6300, expected=6300, rejected=0, feeds=(FEED,))


def pulse(ordinal, error_ns, *, whole=True):
    return Pulse(
        ordinal=ordinal,
        step="deposit/tma",
        valve="tma",
        iterations=(ordinal, 2),
        opened=BEGIN,
        open_ns=40_000_000,
        error_ns=error_ns,
        uncertainty_ns=2_000_000,
        outcome="Confirmed" if whole else "Unknown",
        whole=whole,
    )


PULSES = (pulse(1, 100_000), pulse(2, -400_000), pulse(3, None, whole=False))
REPORT = Report(
    run=RUN,
    loops=(Loop(name="deposit", count=2, begun=2),),
    steps=(
        Step(
            path="spec.steps[0]",
            name="deposit/tma",
            kind="valve",
            count=3,
            failed=1,
            shortest_s=0.04,
            median_s=0.05,
            longest_s=1.5,
        ),
    ),
    widths=widths(PULSES),
    traces=(
        Trace(
            name="heater.temperature",
            unit="°C",
            count=700,
            bad=2,
            minimum=20.0,
            mean=110.0,
            maximum=200.0,
            points=(20.0, None, 200.0),
        ),
    ),
    stored=STORED,
    pulses=PULSES,
)


def changed(struct, **changes):
    return msgspec.structs.replace(struct, **changes)


def test_a_summary_names_the_run_and_its_worst_pulse():
    assert summary_lines(REPORT) == (
        "Run       first in namespace lab",
        "Machine   reactor-1",
        "Recipe    al2o3 with cycles=2, fast=True",
        "Outcome   Completed after 1m15s",
        "Cycles    2 of 2 begun in deposit",
        "Pulses    3 (1 of them cut short or not confirmed); width error p50 0.100 ms, p99 0.400 ms, worst -0.400 ms: deposit/tma of 40.000 ms in cycle 2/2",
        "Stored    700 scans, 6,300 rows",
        "Gaps      none in positions 10 to 2,000 of feed f",
    )


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {"outcome": "Aborted", "ended_by": "anna", "message": "smell"},
            "Aborted after 1m15s, asked for by anna: smell",
        ),
        ({"outcome": None}, "not ended at step rinse"),
        ({"outcome": None, "held": "a valve"}, "not ended at step rinse, held: a valve"),
        ({"outcome": "LinkLost", "started": None}, "LinkLost"),
    ],
)
def test_an_outcome_says_what_is_known(changes, text):
    assert outcome(changed(RUN, **changes)) == text


def test_a_run_that_did_not_get_to_the_end_of_a_loop_says_how_far():
    assert cycles(Loop(name="deposit", count=1000, begun=37)) == "37 of 1,000 begun in deposit"


def test_pulses_without_a_whole_one_have_no_errors():
    none = Widths(count=0, whole=0, p50_ns=0, p99_ns=0, max_ns=0, max_relative=0.0, worst=None)
    assert pulses(none) == "none"
    assert pulses(changed(none, count=1)) == "1, none of them whole"


def test_a_recipe_that_says_how_exact_pulses_have_to_be_is_answered():
    assert timing(RUN, REPORT.widths) == ()
    met = changed(RUN, max_relative_error=0.01)
    assert timing(met, REPORT.widths) == (
        "met: largest width errors 1.0% and 0.400 ms; the recipe allows 1.0%",
    )
    missed = changed(met, max_error_ns=399_999)
    assert timing(missed, REPORT.widths) == (
        "MISSED: largest width errors 1.0% and 0.400 ms; the recipe allows 1.0% and 0.400 ms",
    )
    assert timing(changed(met, max_relative_error=0.009), REPORT.widths)[0].startswith("MISSED")
    assert timing(met, widths(PULSES[2:])) == ()


def test_whatever_is_missing_is_said_loudly():
    lacking = changed(STORED, values=6299, rejected=1)
    assert stored(lacking) == (
        "700 scans, 6,299 rows; the scans hold 6,300 values: the difference is MISSING; "
        "1 record REJECTED, see dead_letters"
    )
    gap = changed(FEED, missing=2, reasons=("the spool was full",))
    assert (
        gaps(gap) == "2 positions MISSING in positions 10 to 2,000 of feed f (the spool was full)"
    )


def test_a_page_adds_steps_pulses_and_traces():
    lines = printed(report_page(REPORT))
    assert "Started   2025-01-01 12:00:00 UTC, ended 2025-01-01 12:01:15 UTC" in lines
    assert "deposit/tma  valve     3       1     40 ms   50 ms    1.5 s" in lines
    assert (
        "   2  deposit/tma  tma    2/2    12:00:00.000   40.000    -0.400  2.000  Confirmed"
        in lines
    )
    assert any(line.endswith("Unknown, cut short or not confirmed") for line in lines)
    assert "heater.temperature  °C         20   110      200     700    2  ▁ █" in lines


def test_a_page_leaves_out_what_there_is_none_of():
    bare = changed(REPORT, steps=(), pulses=(), traces=())
    assert len(printed(report_page(bare))) == len(summary_lines(bare)) + 1


@pytest.mark.parametrize(
    ("loop", "said"),
    [
        (Loop(name="deposit", count=100, begun=37), "37 of 100 begun in deposit"),
        (Loop(name="deposit", count=100, first=38, begun=52), "38 to 52 of 100 begun in deposit"),
        (Loop(name="deposit", count=100, first=38, begun=0), "none of 38 to 100 begun in deposit"),
    ],
)
def test_cycles_are_numbered_as_the_recipe_does(loop, said):
    assert cycles(loop) == said


@pytest.mark.parametrize(
    ("outcome", "reached", "said"),
    [
        ("Aborted", Reached(step="deposit/tma", iterations=((37, 100),)), True),
        ("Stopped", Reached(step="deposit/tma", iterations=((37, 100),)), True),
        ("Completed", Reached(step="deposit/tma", iterations=((100, 100),)), False),
        (None, Reached(step="deposit/tma", iterations=((37, 100),)), False),
        ("Aborted", Reached(step="after", iterations=()), False),
        ("Aborted", None, False),
    ],
)
def test_a_run_that_ended_in_a_loop_says_where_another_goes_on(outcome, reached, said):
    run = msgspec.structs.replace(RUN, outcome=outcome)
    found = summary_lines(msgspec.structs.replace(REPORT, run=run, reached=reached))
    assert (
        any(line.startswith("Go on     cycle 37 of 100 of deposit was begun") for line in found)
        == said
    )


def test_pulses_that_the_plc_timed_are_named_without_an_error_and_judge_nothing():
    timed = msgspec.structs.replace(pulse(4, None), whole=True, by_plc=True)
    alone = widths((timed, timed))
    assert pulses(alone) == "2; 2 timed by the PLC, not measured, to 2.000 ms"
    assert timing(msgspec.structs.replace(RUN, max_relative_error=0.2), alone) == ()
    mixed = pulses(widths((*PULSES, timed)))
    assert mixed.startswith("4 (1 of them cut short or not confirmed); width error p50")
    assert mixed.endswith("; 1 timed by the PLC, not measured, to 2.000 ms")
    page = printed(report_page(msgspec.structs.replace(REPORT, pulses=(timed,))))
    assert any("by PLC" in line for line in page)
