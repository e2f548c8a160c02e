"""What the executor has kept of what it was told, when nothing goes on record of it and nothing is written."""

import io
from typing import Any, cast

import pytest

from ald.engine.effects import Journal
from ald.engine.inputs import AbortAsked, SafeStateAsked
from ald.engine.state import State
from ald.engine.trace import open_run
from ald.gateway.driver.diary import Diary
from ald.gateway.driver.executor import Executor, Parts
from ald.gateway.driver.memory import RunMemory
from ald.kit.lines import Lines
from unit.engine.programs import MS, UID, flow, purge, valve
from unit.engine.world import World


class Clock:
    """Later than whatever a world says."""

    def monotonic_ns(self) -> int:
        return 1 << 62

    def wall_ns(self) -> int:
        return 1 << 62


class NoRecord:
    last_record = 0


def found(directory) -> Diary:
    return Diary(RunMemory(directory / "memory"), directory / "runs", NoRecord.last_record)


def told(directory, state, given) -> None:
    """Have an executor in this state, of which its diary knows, take in one more input, and die."""
    diary = found(directory)
    event = World().journal[-1]
    diary.before(State(), state, (Journal(event=event),), NoRecord.last_record)
    nothing = cast("Any", None)
    parts = Parts(
        settings=nothing,
        clock=Clock(),
        log=Lines(stream=io.StringIO()),
        recorder=cast("Any", NoRecord()),
        diary=diary,
        commands=nothing,
        unit_random=nothing,
        signals_fd=0,
        jitter=nothing,
        reserver=nothing,
    )
    executor = Executor(parts, "s", "0")
    executor._state = state
    executor._give(given)
    diary.close()


def in_a_run() -> World:
    world = World(round_trip_ns=60 * MS).ready()
    world.start(flow(20.0), purge(300), valve("tma", 4000)).run_for(800 * MS)
    assert world.open_valves == {"tma"}
    return world


def idle() -> World:
    return World(round_trip_ns=60 * MS).ready()


@pytest.mark.parametrize("begun", [in_a_run, idle])
def test_who_wants_the_machine_looked_at_while_it_is_being_stopped_is_not_forgotten(
    tmp_path, begun
):
    world = begun()
    world.abort(uid="", by="anna", reason="stop")
    assert world.machine == "Aborting"
    told(tmp_path, world.state, SafeStateAsked(at_ns=world.now, by="anna", comment="smells"))
    left = found(tmp_path)
    later = World(open_run=left.found, unsafe=left.unsafe).ready()
    assert later.machine == "Aborted"


def test_that_a_run_is_not_to_be_taken_up_again_is_known_to_the_next_executor(tmp_path):
    second = World(open_run=open_run(in_a_run().state), started_uids=(UID,))
    assert second.state.last_run is not None
    assert second.state.last_run.resumable
    assert second.machine == "Aborting"
    stop = AbortAsked(at_ns=second.now, uid="", by="anna", reason="smells")
    told(tmp_path, second.state, stop)
    left = found(tmp_path)
    assert left.ledger.last is not None
    assert not left.ledger.last.resumable
