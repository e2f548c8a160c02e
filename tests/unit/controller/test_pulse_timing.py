import msgspec
import pytest

from ald.controller.pulse_timing import pulses_of, timing_met
from ald.records.event import PulseTiming, RunOutcome
from unit.controller import situations as s

TIMING = PulseTiming(
    whole=200,
    p50_error_ns=210_400,
    p99_error_ns=1_900_000,
    worst_relative_error=0.1,
    max_relative_error=0.2,
    max_error_ns=5_000_000,
)


def ended(worst_ms=4.0, **changes):
    timing = msgspec.structs.replace(TIMING, **changes)
    return s.progress_of(
        outcome=RunOutcome.COMPLETED, pulses=201, worst_error_ns=int(worst_ms * 1e6), timing=timing
    )


def test_the_figures_are_in_milliseconds():
    assert pulses_of(ended()) == {
        "count": 201,
        "p50ErrorMs": 0.21,
        "p99ErrorMs": 1.9,
        "worstErrorMs": 4.0,
    }


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, "True"),
        ({"worst_ms": 5.0}, "True"),
        ({"worst_ms": 5.001}, "False"),
        ({"worst_ms": 5.001, "max_error_ns": None}, "True"),
        ({"worst_relative_error": 0.2}, "True"),
        ({"worst_relative_error": 0.201}, "False"),
        ({"whole": 0, "worst_relative_error": 0.0}, "Unknown"),
    ],
)
def test_a_run_has_met_its_timing_when_no_pulse_was_further_off_than_allowed(changes, status):
    (fact,) = timing_met(ended(**changes))
    assert (fact.type, fact.status) == ("TimingMet", status)


def test_the_verdict_names_figures_and_limits():
    (fact,) = timing_met(ended(worst_ms=8.1, worst_relative_error=0.3))
    assert fact.reason == "TimingMissed"
    assert (
        "200 pulses: at most 30.0% of the wanted width, at most 8.1 ms; p99 1.9 ms" in fact.message
    )
    assert "Allowed: 20.0% (timing.maxRelativeError), 5.0 ms (timing.maxError)." in fact.message


def test_there_is_no_verdict_while_the_run_is_on_and_its_words_do_not_move():
    running = [timing_met(s.progress_of(timing=TIMING, pulses=n)) for n in (0, 5)]
    assert running[0] == running[1]
    assert (running[0][0].status, running[0][0].reason) == ("Unknown", "Running")


def test_of_a_gateway_that_does_not_say_what_is_wanted_nothing_is_said():
    assert timing_met(s.progress_of(timing=PulseTiming())) == ()


def test_pulses_that_nobody_measured_have_no_error_and_are_not_judged():
    progress = ended(whole=0, by_plc=12, plc_uncertainty_ns=2_000_000)
    assert pulses_of(progress) == {"count": 201}
    (fact,) = timing_met(progress)
    assert (fact.status, fact.reason) == ("Unknown", "TimedByPLC")
    assert "12 pulses were timed by the PLC itself" in fact.message
    assert "to 2.0 ms" in fact.message


@pytest.mark.parametrize(("worst_ms", "status"), [(4.0, "True"), (6.0, "False")])
def test_beside_measured_pulses_those_of_the_plc_are_named_and_change_no_verdict(worst_ms, status):
    progress = ended(worst_ms, by_plc=12, plc_uncertainty_ns=2_000_000)
    assert pulses_of(progress)["worstErrorMs"] == worst_ms
    (fact,) = timing_met(progress)
    assert fact.status == status
    assert "Besides these: 12 pulses were timed by the PLC itself" in fact.message


def test_of_a_run_that_lost_its_memory_nothing_is_claimed():
    (fact,) = timing_met(msgspec.structs.replace(ended(0.1), exact=False))
    assert (fact.status, fact.reason) == ("Unknown", "NothingMeasured")
    assert "Power was lost" in fact.message
