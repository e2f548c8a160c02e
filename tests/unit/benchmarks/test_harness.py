"""The harness of the benchmarks: statistics, steal, rounds, exit codes, files and the comparison with the baseline."""

import contextlib
import json
import math

import msgspec
import pytest

from benchmarks import __main__ as program
from benchmarks import catalogue, report, steal
from benchmarks.figures import Better, Figure, Over, describe, in_turn, quantile
from benchmarks.machine import Machine
from benchmarks.rounds import QUIET_MIN, ROUNDS_MAX, Benchmark, Options, run

pytestmark = pytest.mark.requirement("BENCH-00")

FAST = Figure(name="ms", unit="ms", bar=10, drift=0.5)
MACHINE = Machine(
    processor="p", processors=2, memory_mib=1, kernel="6", python="3", versions={}, load=0.1
)


def benchmark(*values, figures=(FAST,), **more):
    """One whose rounds give these values of each figure, the last one again and again."""
    given = list(values)

    @contextlib.contextmanager
    def ready(options):
        def measure(number):
            value = given.pop(0) if len(given) > 1 else given[0]
            return {figure.name: value for figure in figures} | {"other": 1.0}

        yield measure

    return Benchmark(name="one", title="t", reference="r", figures=figures, ready=ready, **more)


def host(*stolen):
    """The counts of a host that takes these ticks of a thousand from one round after the other, and then none."""
    given = list(stolen)
    total = taken = 0
    is_begin = True

    def ticks():
        nonlocal total, taken, is_begin
        if not is_begin:
            total += 1000
            taken += given.pop(0) if given else 0
        is_begin = not is_begin
        return steal.Ticks(total=total, idle=0, steal=taken)

    return ticks


def measured(of, *stolen, rounds=QUIET_MIN):
    return run(of, Options(rounds=rounds), ticks=host(*stolen))


def saved(of, outcome):
    return report.Saved(
        name=of.name,
        at="2026-01-01T00:00:00+00:00",
        machine=MACHINE,
        options=Options(rounds=5),
        outcome=outcome,
    )


# Steal.


def test_steal_is_the_eighth_number_and_guests_count_once():
    before = steal.parse("cpu  100 0 100 800 0 0 0 0 50 0\ncpu0 1 2 3\n")
    after = steal.parse("cpu  200 0 200 1590 0 0 0 10 90 0\n")
    assert (before.total, after.total) == (1000, 2000)
    assert steal.share(before, after) == 0.01


def test_no_time_between_two_looks_is_no_steal():
    ticks = steal.Ticks(total=5, idle=1, steal=1)
    assert steal.share(ticks, ticks) == 0.0


@pytest.mark.parametrize("text", ["", "intr 1 2 3 4 5 6 7 8 9", "cpu 1 2 3"])
def test_what_is_no_proc_stat_is_refused(text):
    with pytest.raises(ValueError, match="/proc/stat"):
        steal.parse(text)


def test_this_host_has_a_proc_stat():
    assert steal.read().total > 0


# Statistics.


def test_a_quantile_is_a_value_that_was_measured():
    values = [float(n) for n in range(1, 101)]
    assert [quantile(values, share) for share in (0.5, 0.95, 0.99, 1.0)] == [50, 95, 99, 100]
    assert quantile([7.0], 0.99) == 7.0


def test_statistics_are_those_of_a_sample():
    found = describe([2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0])
    assert found.mean == 5.0
    assert math.isclose(found.deviation, math.sqrt(32 / 7))
    assert (found.least, found.p50, found.p95, found.most, found.count) == (2, 4, 9, 9, 8)
    assert describe([1.0]).deviation == 0.0


@pytest.mark.parametrize(
    ("over", "better", "value"),
    [
        (Over.MEDIAN, Better.LOWER, 2.0),
        (Over.WORST, Better.LOWER, 9.0),
        (Over.WORST, Better.HIGHER, 1.0),
        (Over.SUM, Better.LOWER, 12.0),
    ],
)
def test_rounds_become_one_value(over, better, value):
    assert Figure(name="x", over=over, better=better).of([9.0, 1.0, 2.0]) == value


def test_a_bar_itself_is_reached():
    assert FAST.holds(10) is True
    assert FAST.holds(10.1) is False
    assert Figure(name="x", better=Better.HIGHER, bar=3).holds(2.9) is False
    assert FAST.holds(None) is None
    assert Figure(name="x").holds(5) is None


def test_contenders_take_turns_at_being_first():
    seen = []

    def contender(name):
        def measure():
            seen.append(name)
            return 1.0

        return measure

    found = in_turn(1, {name: contender(name) for name in "abc"}, laps=3)
    assert "".join(seen) == "bca" + "cab" + "abc"
    assert found == {name: [1.0] * 3 for name in "abc"}


# Rounds.


def test_quiet_rounds_give_the_median():
    outcome = measured(benchmark(5, 1, 9, 2, 3))
    assert outcome.figures == {"ms": 3}
    assert (outcome.rounds, outcome.repeated) == (5, 0)
    assert set(outcome.statistics) == {"ms", "other"}


def test_a_round_with_steal_is_repeated_counted_and_not_used():
    outcome = measured(benchmark(1000, 1, 1, 1, 1, 2), 4)
    assert outcome.figures == {"ms": 1}
    assert outcome.statistics["ms"].most == 2
    assert (outcome.rounds, outcome.repeated, outcome.steal_most) == (6, 1, 0.004)


def test_steal_of_just_the_bound_is_quiet():
    assert measured(benchmark(1), 3, 3).repeated == 0


def test_no_more_than_twenty_rounds_are_tried_and_four_quiet_ones_give_no_figure():
    outcome = measured(benchmark(1), *[10] * 16)
    assert outcome.rounds == ROUNDS_MAX
    assert outcome.figures == {"ms": None}
    assert report.exit_code(benchmark(1), outcome) == 3
    assert "| `ms` | null |" in report.table(benchmark(1), saved(benchmark(1), outcome))


def test_five_quiet_rounds_of_twenty_are_enough_although_more_were_wanted():
    outcome = measured(benchmark(1), *[10] * 15, rounds=10)
    assert outcome.figures == {"ms": 1}
    assert report.exit_code(benchmark(1), outcome) == 0


def test_without_any_quiet_round_there_is_a_table_all_the_same():
    of = benchmark(1)
    outcome = measured(of, *[10] * 20)
    assert "| `ms` | null |" in report.table(of, saved(of, outcome))


@pytest.mark.parametrize(("value", "code"), [(10, 0), (11, 1)])
def test_a_missed_bar_fails(value, code):
    of = benchmark(value)
    assert report.exit_code(of, measured(of)) == code


def test_a_soak_is_measured_once_after_the_rounds_and_only_when_asked_for():
    slope = Figure(name="slope", bar=512)
    of = benchmark(1, soak=lambda options: {"slope": options.soak_s}, soak_figures=(slope,))
    assert measured(of).figures == {"ms": 1, "slope": None}
    outcome = run(of, Options(rounds=5, soak_s=600), ticks=host())
    assert outcome.figures == {"ms": 1, "slope": 600}
    assert report.exit_code(of, outcome) == 1


def test_what_the_rounds_have_measured_is_not_lost_with_a_soak_that_fails():
    def soak(options):
        raise OSError("gone")

    of = benchmark(1, soak=soak, soak_figures=(Figure(name="slope", bar=512),))
    told: list[str] = []
    outcome = run(of, Options(rounds=5, soak_s=600), ticks=host(), tell=told.append)
    assert outcome.figures == {"ms": 1, "slope": None}
    assert told[-1] == "the watch came to nothing: OSError: gone"
    assert report.exit_code(of, outcome) == 1


# What is left behind.


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Files of its own."""
    monkeypatch.setattr(report, "SAVED", tmp_path)
    monkeypatch.setattr(report, "BASELINE", tmp_path / "baseline.json")
    return tmp_path


@pytest.fixture
def alone(files, monkeypatch):
    """One benchmark, on a host that disturbs no round."""
    monkeypatch.setattr(catalogue, "NAMES", ("one",))
    monkeypatch.setattr(catalogue, "load", lambda _: benchmark(1))
    monkeypatch.setattr(steal, "share", lambda *_: 0.0)


def test_the_last_line_is_json_with_the_figures_in_their_order():
    line = report.json_line("link", {"ratio_w1": 0.75, "ratio_w8": None})
    assert line == '{"name":"link","figures":{"ratio_w1":0.75,"ratio_w8":null}}'


def test_a_busy_machine_is_said_to_be_busy():
    of = benchmark(1)
    busy = msgspec.structs.replace(
        saved(of, measured(of)), machine=msgspec.structs.replace(MACHINE, load=3.0)
    )
    assert "busy machine" in report.table(of, busy)
    assert "busy machine" not in report.table(of, saved(of, measured(of)))


def test_an_outcome_is_kept_and_history_too(files):
    of = benchmark(1)
    first = saved(of, measured(of))
    second = msgspec.structs.replace(first, at="2026-01-02T00:00:00+00:00")
    kept = {report.save(first), report.save(second)}
    assert len(kept) == 2
    assert report.load_latest("one") == second
    assert report.load_latest("two") is None


def test_a_baseline_keeps_the_other_benchmarks(files):
    of = benchmark(1)
    first = saved(of, measured(of))
    other = msgspec.structs.replace(first, name="other")
    assert report.load_baseline() == {}
    report.store_baseline(first)
    report.store_baseline(other)
    assert report.load_baseline() == {"one": first, "other": other}


@pytest.mark.parametrize(
    ("figure", "baseline", "value", "behind"),
    [
        (FAST, 4.0, 6.0, False),
        (FAST, 4.0, 6.1, True),
        (FAST, 4.0, 0.1, False),
        (Figure(name="ms", better=Better.HIGHER, drift=0.5), 4.0, 2.0, False),
        (Figure(name="ms", better=Better.HIGHER, drift=0.5), 4.0, 1.9, True),
        (Figure(name="ms", drift_least=1.0), -0.5, 0.5, False),
        (Figure(name="ms", drift_least=1.0), -0.5, 0.6, True),
        (FAST, 4.0, None, False),
    ],
)
def test_only_what_is_behind_by_more_than_the_bound_has_regressed(figure, baseline, value, behind):
    of = benchmark(1, figures=(figure,))
    before, now = (
        saved(of, msgspec.structs.replace(measured(of), figures={"ms": each}))
        for each in (baseline, value)
    )
    rows, is_behind = report.compare(of, before, now)
    assert is_behind is behind
    assert len(rows) == 1


# The program.


def test_all_ends_with_one_line_of_all_figures(alone, capsys):
    assert program.main(["all", "--rounds=5"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert json.loads(last) == {"name": "all", "figures": {"one": {"ms": 1}}}


def test_compare_ends_with_1_once_a_figure_is_behind(alone, monkeypatch, capsys):
    assert program.main(["compare"]) == 2
    assert program.main(["one", "--rounds=5", "--store"]) == 0
    assert program.main(["compare"]) == 0
    monkeypatch.setattr(catalogue, "load", lambda _: benchmark(2))
    program.main(["one", "--rounds=5"])
    assert program.main(["compare"]) == 1
    assert "REGRESSED" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments", [[], ["none"], ["decode", "--rounds=4"], ["decode", "--rounds=21"]]
)
def test_wrong_usage_ends_with_2(arguments):
    with pytest.raises(SystemExit) as ended:
        program.main(arguments)
    assert ended.value.code == 2


@pytest.mark.parametrize("name", catalogue.NAMES)
def test_every_benchmark_says_what_it_measures(name):
    of = catalogue.load(name)
    assert of.name == name
    assert of.reference
    assert of.rounds >= QUIET_MIN
    names = [figure.name for figure in of.all_figures]
    assert len(names) == len(set(names)) > 0
