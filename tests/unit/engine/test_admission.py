"""Which runs may start."""

import math

import pytest
from msgspec.structs import replace

from ald.engine.inputs import (
    Input,
    PlantGiven,
    RecordRoom,
    RunGiven,
    ShutdownAsked,
    WatchdogSeen,
)
from ald.errors import RefusedError
from ald.plant.model import digest
from ald.program.model import Timing
from ald.records.event import RunOutcome, RunStarted
from unit.engine.programs import (
    MS,
    OTHER_UID,
    PLANT,
    UID,
    S,
    assign,
    compiled,
    loop,
    order,
    prompt,
    purge,
    ramp,
    valve,
    wait,
    wait_for,
)
from unit.engine.world import World


def reason(world, given):
    before = world.state
    with pytest.raises(RefusedError) as refused:
        world.give(RunGiven(at_ns=world.now, order=given))
    assert world.state is before
    assert world.events(RunStarted) == [] or world.state.run is not None
    return refused.value.reason


def good():
    return order(compiled(wait(100)))


def test_an_order_that_is_not_what_its_digest_says_is_refused():
    assert reason(World().ready(), replace(good(), program_digest="0" * 64)) == "DigestMismatch"


def test_a_program_for_another_configuration_is_refused():
    other = order(replace(compiled(wait(100)), plant_digest="0" * 64))
    assert reason(World().ready(), other) == "PlantMismatch"


def test_another_version_of_the_protocol_is_refused():
    assert reason(World().ready(), replace(good(), protocol=99)) == "Protocol"


@pytest.mark.parametrize("uid", ["", "run-1", "x" * 32])
def test_a_uid_that_is_no_uuid_is_refused(uid):
    assert reason(World().ready(), order(compiled(wait(100)), uid)) == "BadUid"


def test_a_program_with_unsound_loops_is_refused():
    program = compiled(loop(2, wait(1)))
    broken = (replace(program.instructions[0], count=0), *program.instructions[1:])
    assert reason(World().ready(), order(replace(program, instructions=broken))) == "BadProgram"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (valve("tma", 0), "open_ns 0 "),
        (valve("tma", 2**63 / MS), "open_ns "),
        (purge(-1), "duration_ns -1000000 "),
        (wait(2**63 / MS), "duration_ns "),
        (replace(purge(250), flow=math.nan), "flow nan "),
        (assign(math.inf), "value inf "),
        (ramp(math.nan, 1.0), "to nan "),
        (ramp(100, 0.0), "per_second 0.0 "),
        (ramp(100, -1.0), "per_second -1.0 "),
        (wait_for("true", (), stable_ms=-1, timeout_ms=1), "stable_ns "),
        (wait_for("true", (), stable_ms=0, timeout_ms=2**63 / MS), "timeout_ns "),
        (prompt(timeout_ms=2**63 / MS), "timeout_ns "),
    ],
)
def test_a_figure_that_nobody_can_work_with_is_refused_before_the_run_begins(wrong, said):
    """A rate of 0, or a value that is no number, would end the executor in the middle of the run."""
    given = order(compiled(purge(250), wrong))
    with pytest.raises(RefusedError, match=f"instruction 1: {said}") as refused:
        World().ready().give(RunGiven(at_ns=1000 * S, order=given))
    assert refused.value.reason == "BadProgram"


@pytest.mark.parametrize("share", [0.0, -0.2, 1e-310, math.nan, math.inf])
def test_a_share_of_the_width_that_none_can_be_is_refused(share):
    program = replace(compiled(valve("tma", 40)), timing=Timing(max_relative_error=share))
    assert reason(World().ready(), order(program)) == "BadProgram"


def test_a_condition_that_is_none_is_refused():
    program = compiled(wait_for("1 +", (), stable_ms=0, timeout_ms=1))
    assert reason(World().ready(), order(program)) == "BadProgram"


def test_a_second_run_is_refused_while_one_is_on_and_the_same_one_is_not_started_twice():
    world = World().ready().start(wait(1000))
    assert reason(world, order(compiled(wait(100)), OTHER_UID)) == "NotIdle"
    world.start(wait(1000))
    assert len(world.events(RunStarted)) == 1
    world.run_until_ended()
    world.start(wait(1000))
    assert len(world.events(RunStarted)) == 1


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (WatchdogSeen(at_ns=0, ok=False), "WatchdogLost"),
        (WatchdogSeen(at_ns=0, ok=True, is_foreign=True), "ForeignMaster"),
        (RecordRoom(at_ns=0, ok=False), "RecordFull"),
        (ShutdownAsked(at_ns=1002 * S, reason="r"), "ShuttingDown"),
    ],
)
def test_a_gateway_that_is_not_fit_says_why(told: Input, expected):
    world = World().ready()
    world.give(told)
    assert reason(world, good()) in (expected, "NotIdle")


def test_a_plant_without_heartbeat_needs_to_say_that_it_wants_none():
    plant = replace(PLANT, heartbeat=None)
    assert reason(World(plant).ready(), order(compiled(wait(1), plant=plant))) == "NoWatchdog"
    plant = replace(plant, allow_without_watchdog=True)
    world = World(plant).ready().start(purge(300), valve("tma", 10))
    assert world.run_until_ended().outcome is RunOutcome.COMPLETED


def test_nothing_runs_before_anything_was_read():
    world = World()
    world.scanning = False
    world.ready()
    assert reason(world, good()) == "NoScan"


def test_nothing_runs_without_a_plant_or_a_connection():
    assert reason(World(plant=None), good()) == "PlantMismatch"
    world = World()
    world.give(PlantGiven(at_ns=world.now, plant=PLANT, plant_digest=digest(PLANT), confirmed=True))
    assert reason(world, good()) == "NotIdle"


def test_a_started_uid_is_remembered():
    world = World().ready().start(wait(10))
    assert UID in world.state.started_uids


def short(open_ms, **timing):
    wanted = replace(compiled(purge(300), valve("tma", open_ms)), timing=Timing(**timing))
    return order(wanted)


def refused_by(given, measured_ms=None, plant=PLANT):
    """Return why the run is refused with this measured spread, nothing where it starts."""
    world = World(plant).ready()
    spread_ns = None if measured_ms is None else int(measured_ms * MS)
    try:
        world.give(RunGiven(at_ns=world.now, order=given, write_spread_ns=spread_ns))
    except RefusedError as error:
        return f"{error.reason}: {error}"
    assert world.events(RunStarted)
    return ""


def test_a_pulse_shorter_than_the_link_can_time_is_refused_with_the_figures():
    assert refused_by(short(24), measured_ms=2.9) == (
        "PulseTooShort: step dose-tma opens valve tma for 24ms, and the shortest pulse that can be timed honestly is 24.5ms:"
        " (plc.cycle 2ms + 2.9ms (p99 - p1 of the last write round trips)) / 0.2"
    )
    assert not refused_by(short(24.5), measured_ms=2.9)
    assert not refused_by(short(24), measured_ms=2.5)


def test_before_a_hundred_writes_the_declared_spread_counts():
    assert "20ms: (plc.cycle 2ms + 2ms (as plc.writeSpread declares" in refused_by(short(19))
    assert not refused_by(short(20))


def test_a_recipe_may_want_less_or_take_what_comes():
    assert not refused_by(short(10, max_relative_error=0.5), measured_ms=3)
    assert refused_by(short(10, max_relative_error=0.49), measured_ms=3)
    assert not refused_by(short(1, allow_short=True), measured_ms=50)


def test_a_program_that_says_nothing_of_timing_is_taken():
    world = World().ready().start(purge(300), valve("tma", 1))
    assert world.events(RunStarted)


def test_the_pause_between_requests_counts_like_a_longer_cycle():
    plant = replace(PLANT, link=replace(PLANT.link, pause_request_ns=6 * MS))
    program = replace(short(49).program, plant_digest=digest(plant))
    assert "+ plc.pauses.betweenRequests 6ms) / 0.2" in refused_by(order(program), plant=plant)
    program = replace(short(50).program, plant_digest=digest(plant))
    assert not refused_by(order(program), plant=plant)
