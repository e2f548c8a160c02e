"""The link over a network that delays, loses, repeats and reorders packets: never a wrong value, a write done twice, or a hang."""

import functools
import time

import pytest
import yaml

from ald.errors import LinkDownError, LinkHeldBackError, LinkTimeoutError
from fixtures.bad_wire import FAR, Manner, bad_wire
from fixtures.simulator import MACHINE, Simulator
from integration.link_loop import loop
from integration.link_story import Story

pytestmark = [pytest.mark.integration, pytest.mark.requires_root]

CALM = Manner()
LASTS_S = 3.0
SHOWN_S_MAX = 30.0
RECONNECTED_S_MAX = 30.0
LOST = (LinkTimeoutError, LinkDownError, LinkHeldBackError)
"""What a request may end in; the last one was not sent, since three before it had no answer."""

WINDOWS = pytest.mark.parametrize("window", [1, 4])


@pytest.fixture
def wire():
    with bad_wire() as made:
        yield made


@pytest.fixture
def simulator(wire, tmp_path):
    """A simulator in the network of the wire."""
    file = tmp_path / "machine.yaml"
    file.write_text(yaml.safe_dump(MACHINE, allow_unicode=True))
    made = Simulator(machine_file=file, log_file=tmp_path / "simulator.log", seed=1, host="0.0.0.0")
    made.start()
    yield made
    made.stop()


@pytest.fixture
def story_over(wire, simulator):
    """`tell`, over the wire of the test to its simulator."""
    return functools.partial(tell, wire, simulator)


def tell(wire, simulator, manner, *, window, timeout_s, shown=lambda told: True):
    """Write and read for a while over a wire of this manner, then over a sound one, and compare with what the PLC did.

    A while ends when the manner has `shown`, too, so that nothing is said of a wire that happened to do no harm.
    """
    with loop(simulator.port, host=FAR, timeout_s=timeout_s, window=window) as driver:
        told = Story(driver)
        told.until_confirmed(window)
        told.errors.clear()
        wire.manner = manner
        until = time.monotonic() + LASTS_S
        while time.monotonic() < until or not shown(told):
            assert time.monotonic() < until + SHOWN_S_MAX, told.errors
            told.go_on(window)
            driver.turn(0.02)
        wire.manner = CALM
        began = time.monotonic()
        driver.until(lambda: driver.link.connected, within_s=RECONNECTED_S_MAX)
        told.until_confirmed(window)
        assert time.monotonic() - began < RECONNECTED_S_MAX
        told.check(simulator.writes())
        return told


@pytest.mark.requirement("FI-NL-01", "FI-PD-04")
@WINDOWS
def test_a_delay_that_is_shorter_than_the_time_out_costs_time_and_nothing_else(story_over, window):
    told = story_over(Manner(delay_s=0.5), window=window, timeout_s=10)
    assert told.errors == []
    assert told.driver.link.counters.reconnects == 0


@pytest.mark.requirement("FI-NL-03", "FI-PD-03")
@WINDOWS
def test_packets_that_overtake_one_another_change_no_value(story_over, wire, window):
    manner = Manner(delay_s=0.02, jitter_s=0.3, repeated=0.2)
    told = story_over(manner, window=window, timeout_s=10, shown=lambda told: wire.overtaken > 0)
    assert told.errors == []


@pytest.mark.requirement("FI-NL-05")
@WINDOWS
@pytest.mark.parametrize("share", [0.05, 0.2, 0.5])
def test_lost_packets_end_in_a_time_out_at_worst(story_over, wire, share, window):
    manner = Manner(lost=share)
    told = story_over(manner, window=window, timeout_s=0.5, shown=lambda told: wire.dropped > 0)
    assert [each for each in told.errors if not isinstance(each, LOST)] == []


@pytest.mark.requirement("FI-NL-05")
@WINDOWS
def test_little_bandwidth_costs_time_and_nothing_else(story_over, window):
    manner = Manner(bytes_per_s=10_000 / 8)
    told = story_over(manner, window=window, timeout_s=10)
    assert told.errors == []


@pytest.mark.requirement("FI-CH-01")
@WINDOWS
def test_whatever_the_network_does_at_once_values_are_right(story_over, window):
    manner = Manner(delay_s=0.05, jitter_s=0.3, lost=0.2, repeated=0.2)
    told = story_over(manner, window=window, timeout_s=0.5, shown=lambda told: told.errors)
    assert [each for each in told.errors if not isinstance(each, LOST)] == []


@pytest.mark.requirement("FI-RD-01")
def test_a_network_that_is_gone_is_noticed_within_the_time_out_and_comes_back_by_itself(
    wire, simulator
):
    with loop(simulator.port, host=FAR, timeout_s=0.5) as driver:
        told = Story(driver)
        told.until_confirmed(1)
        wire.manner = Manner(is_cut=True)
        told.go_on(1)
        assert isinstance(told.errors[0], LinkTimeoutError)
        driver.until(lambda: driver.link.counters.failed_connects >= 2)
        wire.manner = CALM
        began = time.monotonic()
        driver.up()
        assert time.monotonic() - began < RECONNECTED_S_MAX
        told.until_confirmed(1)
        told.check(simulator.writes())
