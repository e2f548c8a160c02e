import pytest

from ald.program.model import Pulse, Timing, Wait
from ald.program.pulse_limit import minimum_ns, reason, too_short, untimeable
from unit.engine.programs import PLANT, timed

MS = 1_000_000


def pulse(open_ms):
    return Pulse(path="spec.steps[0]", name="tma", valve="tma", open_ns=int(open_ms * MS))


@pytest.mark.parametrize(
    ("cycle_ms", "spread_ms", "relative", "minimum_ms"),
    [(2, 0, 0.2, 10), (2, 3, 0.2, 25), (10, 2, 0.2, 60), (2, 3, 1.0, 5), (10, 0, 0.001, 10_000)],
)
def test_the_limit_is_what_is_uncertain_over_the_share_that_may_be(
    cycle_ms, spread_ms, relative, minimum_ms
):
    timing = Timing(max_relative_error=relative)
    assert minimum_ns(cycle_ms * MS, spread_ms * MS, timing) == minimum_ms * MS


@pytest.mark.parametrize(
    ("cycle_us", "spread_ns", "relative", "minimum_us"),
    [
        (900, 0, 0.018, 50_000),
        (900, 0, 0.036, 25_000),
        (9_000, 0, 0.009, 1_000_000),
        (2_000, 3_000_010, 0.2, 25_001),
    ],
)
def test_a_pulse_of_the_length_that_is_told_as_the_shortest_is_long_enough(
    cycle_us, spread_ns, relative, minimum_us
):
    limit_ns = minimum_ns(cycle_us * 1000, spread_ns, Timing(max_relative_error=relative))
    assert limit_ns == minimum_us * 1000


def test_a_pulse_as_long_as_the_limit_is_long_enough():
    steps = (pulse(25), Wait(path="p", name="w", duration_ns=1), pulse(24.999), pulse(26))
    assert [each.open_ns for each in too_short(steps, PLANT, 25 * MS)] == [24_999_000]


def test_the_reason_has_all_figures():
    text = reason(pulse(10), 25 * MS, "plc.cycle 2ms + 3ms", Timing())
    assert text == (
        "step tma opens valve tma for 10ms, and the shortest pulse that can be timed honestly is 25ms:"
        " (plc.cycle 2ms + 3ms) / 0.2"
    )


def test_a_pulse_that_the_plc_times_has_the_limits_of_its_register():
    plant = timed(PLANT, "tma")
    steps = (pulse(2), pulse(2.5), pulse(65_535), pulse(65_536))
    assert not list(too_short(steps, plant, 25 * MS))
    assert [(each.open_ns // 1000, why) for each, why in untimeable(steps, plant)] == [
        (2500, "the PLC times whole multiples of 1ms"),
        (65_536_000, "the PLC times 1ms to 1m5.535s"),
    ]
    assert not list(untimeable(steps, PLANT))
