"""The link against the simulator in each of its faults: never a wrong value, never a hang, never a write done twice."""

import contextlib
import socket
import time

import pytest
import yaml

from ald.errors import LinkDesyncError, LinkDownError, LinkTimeoutError, ModbusExceptionError
from ald.plant.model import Table
from ald.plc.link import Lane
from ald.plc.request import ReadRegisters
from fixtures.simulator import MACHINE, Simulator
from fixtures.wait import eventually
from integration.link_loop import loop
from integration.link_story import PLACE, Story

pytestmark = [pytest.mark.integration, pytest.mark.requirement("PLC-RS")]

TIMEOUT_S = 0.15
"""Short, so that what is waited for in vain does not take long."""

PATIENCE_S = 5.0
"""Where everything has to come, however busy the computer is."""

WRONG_NOW_AND_THEN_S_MAX = 30.0
"""Each answer that stalls costs a time-out, and most of what was in flight with it."""

READY_AGAIN_S_MAX = 2.0
HARMLESS = {
    "delay_ms": 0,
    "jitter_ms": 0,
    "one_at_a_time": False,
    "refuse": False,
    "black_hole": False,
    "hang_up": False,
    "freeze": False,
    "reject_function": 0,
    "max_connections": 0,
    "spoil": "",
    "spoil_function": 0,
    "spoil_share": 1,
}


@pytest.fixture(scope="module")
def one_for_all(tmp_path_factory):
    directory = tmp_path_factory.mktemp("simulator")
    file = directory / "machine.yaml"
    file.write_text(yaml.safe_dump(MACHINE, allow_unicode=True))
    made = Simulator(machine_file=file, log_file=directory / "simulator.log", seed=1)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def simulator(one_for_all):
    """The simulator without a fault, a connection or a write on record."""
    one_for_all.faults(**HARMLESS, drop=True)
    one_for_all.reset_trace()
    return one_for_all


@contextlib.contextmanager
def story(simulator, window=1, timeout_s=TIMEOUT_S):
    with loop(simulator.port, timeout_s=timeout_s, window=window) as driver:
        told = Story(driver)
        told.until_confirmed(window)
        told.errors.clear()
        yield told
        simulator.faults(**HARMLESS)
        began = time.monotonic()
        driver.up()
        assert time.monotonic() - began < READY_AGAIN_S_MAX
        told.until_confirmed(window)
        told.check(simulator.writes())


ODD = [
    ({"spoil": "reset"}, LinkDownError, ""),
    ({"spoil": "close"}, LinkDownError, ""),
    ({"spoil": "stall"}, LinkTimeoutError, "did not answer"),
    ({"spoil": "lose"}, LinkTimeoutError, "did not answer"),
    ({"spoil": "transaction"}, LinkDesyncError, ""),
    ({"spoil": "unit"}, LinkDesyncError, "unit 0 answered"),
    ({"spoil": "function"}, LinkDesyncError, "came as the answer to function"),
    ({"spoil": "truncated"}, LinkDesyncError, ""),
    ({"spoil": "oversized"}, LinkDesyncError, "frames have 2 to 254"),
    ({"spoil": "garbage"}, LinkDesyncError, "protocol id"),
    ({"freeze": True}, LinkTimeoutError, "did not answer"),
    ({"forget": True}, LinkTimeoutError, "did not answer"),
    ({"black_hole": True}, LinkTimeoutError, "did not answer"),
    ({"drop": True, "refuse": True}, LinkDownError, "Connection refused"),
    ({"drop": True, "hang_up": True}, LinkDownError, ""),
    ({"delay_ms": TIMEOUT_S * 1000 + 50}, LinkTimeoutError, "did not answer"),
]


@pytest.mark.requirement("FI-NL-02")
@pytest.mark.parametrize("window", [1, 4])
@pytest.mark.parametrize(("fault", "error", "said"), ODD, ids=[str(each[0]) for each in ODD])
def test_whatever_goes_wrong_values_are_right_and_writes_happen_once(
    simulator, fault, error, said, window
):
    with story(simulator, window) as told:
        simulator.faults(**fault)
        until = time.monotonic() + 4 * TIMEOUT_S
        is_seen = False
        while time.monotonic() < until or not is_seen:
            assert time.monotonic() < until + PATIENCE_S, told.errors
            told.go_on(window)
            told.driver.turn(0.02)
            # That of the fault itself, not of what became of the connection that was there before.
            is_seen = any(isinstance(each, error) and said in str(each) for each in told.errors)


@pytest.mark.requirement("FI-CH-01")
@pytest.mark.parametrize("spoil", ["reset", "lose", "stall", "transaction", "garbage", "truncated"])
def test_where_it_goes_wrong_now_and_then_the_rest_gets_through(simulator, spoil):
    with story(simulator, window=4) as told:
        simulator.faults(spoil=spoil, spoil_share=0.2, jitter_ms=5)
        got_through = sum(fate.ok for fate in told.fates.values())
        until = time.monotonic() + WRONG_NOW_AND_THEN_S_MAX
        while not told.errors or sum(fate.ok for fate in told.fates.values()) < got_through + 6:
            assert time.monotonic() < until, told.errors
            told.driver.up()
            told.go_on(4)


@pytest.mark.parametrize("code", [1, 2, 3, 4, 5, 6, 8, 10, 11])
def test_each_exception_refuses_its_request_and_leaves_the_connection(simulator, code):
    with story(simulator, window=2, timeout_s=PATIENCE_S) as told:
        simulator.faults(reject_function=16, reject_code=code)
        told.go_on(3)
        assert [error.code for error in told.errors] == [code] * 3
        assert all(isinstance(error, ModbusExceptionError) for error in told.errors)
        assert told.driver.link.counters.reconnects == 0
        unknown = [fate.unknown for fate in told.fates.values()][-3:]
        assert unknown == [code not in (1, 2, 3, 10)] * 3


@pytest.mark.requirement("FI-PD-03")
@pytest.mark.parametrize("one_at_a_time", [False, True])
def test_a_slow_plc_is_waited_for(simulator, one_at_a_time):
    with story(simulator, window=4, timeout_s=PATIENCE_S) as told:
        simulator.faults(delay_ms=5, jitter_ms=10, one_at_a_time=one_at_a_time)
        for _ in range(10):
            told.go_on(4)
        assert not told.errors


def test_a_plc_that_does_one_thing_at_a_time_takes_as_long_as_its_requests(simulator):
    simulator.faults(delay_ms=20, one_at_a_time=True)
    with loop(simulator.port, timeout_s=2, window=8) as driver:
        driver.up()
        began = time.monotonic()
        tokens = {driver.ask(ReadRegisters(Table.HOLDING, PLACE, 1), Lane.SCAN) for _ in range(8)}
        driver.until(lambda: driver.done.keys() >= tokens)
        assert time.monotonic() - began > 0.15


@pytest.mark.requirement("INT-07")
@pytest.mark.parametrize("limit", [1, 2, 5])
def test_one_connection_is_enough_and_one_too_many_is_said_and_tried_again(simulator, limit):
    simulator.faults(max_connections=limit)
    with contextlib.ExitStack() as others:
        for _ in range(limit - 1):
            others.enter_context(socket.create_connection(("127.0.0.1", simulator.port)))
        eventually(lambda: simulator.state()["connections"]["open"] == limit - 1, within_s=5)
        with story(simulator, timeout_s=PATIENCE_S) as told:
            assert simulator.state()["connections"]["open"] == limit
            told.go_on(3)
            assert not told.errors
            simulator.faults(max_connections=limit)
    last = [socket.create_connection(("127.0.0.1", simulator.port)) for _ in range(limit)]
    eventually(lambda: simulator.state()["connections"]["open"] >= limit, within_s=5)
    with contextlib.ExitStack() as stack, loop(simulator.port, timeout_s=PATIENCE_S) as driver:
        simulator.faults(max_connections=limit)
        for one in last:
            stack.callback(one.close)
        driver.until(lambda: driver.link.counters.connects >= 3)
        driver.until(lambda: driver.link.message == "127.0.0.1 closed the connection")
        stack.close()
        tokens: list[int] = []

        def is_served():
            if any(completion.ok for completion in driver.done.values()):
                return True
            if driver.link.connected and driver.done.keys() >= set(tokens):
                tokens.append(driver.ask(ReadRegisters(Table.HOLDING, PLACE, 2)))
            return False

        driver.until(is_served, within_s=READY_AGAIN_S_MAX)
