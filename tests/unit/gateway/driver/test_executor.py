"""What the executor has kept of what it was told, when nothing goes on record of it and nothing is written."""

import io
import itertools
from typing import Any, cast

import pytest
from msgspec.structs import replace

from ald.engine.effects import Journal
from ald.engine.inputs import AbortAsked, LinkDown, SafeStateAsked, Scanned
from ald.engine.state import State
from ald.engine.taken import INPUTS_MAX
from ald.engine.trace import open_run
from ald.gateway.driver.diary import Diary
from ald.gateway.driver.executor import Executor, Parts
from ald.gateway.driver.memory import RunMemory
from ald.gateway.driver.recorder import Recorder
from ald.gateway.ring import CAPACITY_MIN, EVENT, RingReader, RingWriter
from ald.kit.lines import Lines
from ald.records.event import RunEnded, decode_event
from unit.engine.programs import MS, UID, S, flow, purge, valve, wait
from unit.engine.world import World


class Clock:
    """Later than whatever a world says."""

    def monotonic_ns(self) -> int:
        return 1 << 62

    def wall_ns(self) -> int:
        return 1 << 62


class Nothing:
    """A station or a reserver that takes whatever is wanted of it."""

    def __getattr__(self, name):
        return lambda *_: None


class NoRecord:
    last_record = 0


def found(directory) -> Diary:
    return Diary(RunMemory(directory / "memory"), directory / "runs", NoRecord.last_record)


def told(directory, state, given) -> None:
    """Have an executor in this state, of which its diary knows, take in one more input, and die."""
    diary = found(directory)
    event = World().journal[-1]
    diary.before(State(), state, (Journal(event=event),), NoRecord.last_record)
    executing(state, cast("Any", NoRecord()), diary)._give(given)
    diary.close()


def executing(state: State, recorder: Recorder, diary: Diary) -> Executor:
    nothing = cast("Any", Nothing())
    parts = Parts(
        settings=nothing,
        clock=Clock(),
        log=Lines(stream=io.StringIO()),
        recorder=recorder,
        diary=diary,
        plant_file=nothing,
        commands=nothing,
        unit_random=nothing,
        signals_fd=0,
        jitter=nothing,
        reserver=nothing,
    )
    executor = Executor(parts, "s", "0")
    executor._state = state
    executor._station = nothing
    return executor


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


def test_the_end_of_a_run_finds_room_however_long_nobody_has_read_the_record(tmp_path):
    world = World().ready().start(wait(3_600_000)).run_for(1 * S)
    scan = [given for given in world.inputs if isinstance(given, Scanned)][-1].scan
    recorder = Recorder(
        RingWriter(tmp_path / "ring", CAPACITY_MIN, "s"), Lines(stream=io.StringIO())
    )
    while recorder.has_room:
        assert recorder.scan(scan)
        recorder.check_room(may_grow=False)
    executor = executing(world.state, recorder, found(tmp_path))
    at_ns = world.now
    # A quarter of an hour and more, and then as much as is kept before it goes on record; none of the scans is by itself.
    for number in itertools.count():
        if number > 10_000 and len(executor._book.kept) > INPUTS_MAX - 10:
            break
        at_ns += 100 * MS
        later = replace(scan, sequence=scan.sequence + 1, started_ns=at_ns - MS, ended_ns=at_ns)
        executor._give(Scanned(at_ns=at_ns, scan=later), is_scan_recorded=recorder.scan(later))
    executor._give(LinkDown(at_ns=at_ns, message="gone"))
    ring = RingReader(tmp_path / "ring")
    kinds = []
    while records := ring.read(1000):
        kinds += [type(decode_event(r.payload)) for r in records if r.kind == EVENT]
    assert RunEnded in kinds
