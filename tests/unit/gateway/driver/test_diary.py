"""A run in the diary is on from the record of its beginning to that of its end, across a kill between any two effects."""

import errno
import threading

import pytest
from msgspec.structs import replace

from ald.engine.effects import Journal
from ald.engine.inputs import Unsafe
from ald.engine.replay import replay
from ald.engine.state import State
from ald.engine.trace import open_run
from ald.gateway.driver import diary as diary_module
from ald.gateway.driver.diary import Diary
from ald.gateway.driver.files import Ledger, write_ledger
from ald.gateway.driver.memory import Remembered, RunMemory
from ald.records.event import RunEnded, RunOutcome, RunStarted
from unit.engine.programs import MS, UID, S, flow, purge, valve, wait
from unit.engine.world import World


def kept(diary, world, kind):
    """Have the diary keep a life up to the step with an event of this kind, and return what it is to be told of that one.

    Without such a step it keeps all of it, and nothing is returned.
    """
    state = State()
    for _, now, effects in replay(world.inputs):
        if any(isinstance(e, Journal) and isinstance(e.event, kind) for e in effects):
            return state, now, effects, 10
        diary.before(state, now, effects, 10)
        diary.after(effects)
        state = now
    return None


def test_killed_before_or_after_any_step_is_on_record_a_run_is_open_exactly_when_it_began_and_has_not_ended(
    tmp_path,
):
    world = World().ready().start(flow(20.0), purge(300), valve("tma", 40))
    world.run_until_ended()
    memory_path, run_path = tmp_path / "m", tmp_path / "r"
    diary = Diary(RunMemory(memory_path), run_path, 0)
    state, last_record, is_on = State(), 0, False
    for _, now, effects in replay(world.inputs):
        diary.before(state, now, effects, last_record)
        found = Diary(RunMemory(memory_path), run_path, last_record).found
        assert (found is not None) is is_on
        # The records of a step are published together.
        events = [effect.event for effect in effects if isinstance(effect, Journal)]
        last_record += len(events)
        is_on = (is_on or any(isinstance(event, RunStarted) for event in events)) and not any(
            isinstance(event, RunEnded) for event in events
        )
        found = Diary(RunMemory(memory_path), run_path, last_record).found
        assert (found is not None) is is_on
        diary.after(effects)
        state = now
    assert not is_on
    assert Diary(RunMemory(tmp_path / "new"), run_path, 0).found is not None, "not written yet"
    diary.catch_up(within_s=10)
    ledger = Diary(RunMemory(memory_path), run_path, last_record).ledger
    assert ledger.open is None
    assert ledger.uids == (UID,)
    assert ledger.last is not None
    assert ledger.last.outcome is RunOutcome.COMPLETED


def test_a_new_pod_learns_from_the_volume_that_a_run_was_on(tmp_path):
    world = World().ready().start(flow(20.0), purge(300), valve("tma", 40))
    world.run_for(1 * S)
    diary = Diary(RunMemory(tmp_path / "m"), tmp_path / "r", 0)
    kept(diary, world, RunEnded)
    assert all(given.at_ns >= 0 for given in world.inputs)
    (tmp_path / "m").unlink()
    found = Diary(RunMemory(tmp_path / "m"), tmp_path / "r", 0).found
    assert found is not None
    assert found.run.name == "run"
    assert not found.is_exact, "the volume knows how it began, and not how far it came"


def test_killed_between_ledger_and_memory_the_first_run_of_a_pod_never_began(tmp_path):
    world = World().ready().start(flow(20.0), purge(300), valve("tma", 40))
    Diary(RunMemory(tmp_path / "m"), tmp_path / "r", 0)
    started = open_run(world.state)
    write_ledger(tmp_path / "r", Ledger(open=started, uids=(UID,)))
    next_one = Diary(RunMemory(tmp_path / "m"), tmp_path / "r", 10)
    assert next_one.found is None
    next_one.catch_up(within_s=10)
    assert Diary(RunMemory(tmp_path / "n"), tmp_path / "r", 0).found is None


def test_what_a_new_pod_found_is_found_again_by_the_next_executor(tmp_path):
    world = World().ready().start(flow(20.0), purge(300), valve("tma", 40))
    write_ledger(tmp_path / "r", Ledger(open=open_run(world.state), uids=(UID,)))
    first = Diary(RunMemory(tmp_path / "m"), tmp_path / "r", 0)
    assert first.found is not None
    assert Diary(RunMemory(tmp_path / "m"), tmp_path / "r", 3).found == first.found


def test_a_lost_ledger_leaves_doubt_only_where_memory_is_new(tmp_path):
    new = Diary(RunMemory(tmp_path / "m"), tmp_path / "r", 0, is_lost=True)
    assert (new.found, new.is_doubtful) == (None, True)
    old = RunMemory(tmp_path / "m")
    old.remember(Remembered(run=None))
    assert not Diary(RunMemory(tmp_path / "m"), tmp_path / "r", 0, is_lost=True).is_doubtful
    assert not Diary(RunMemory(tmp_path / "n"), tmp_path / "r", 0).is_doubtful


def test_a_run_that_the_volume_does_not_take_is_not_begun_and_an_end_stays_due(tmp_path):
    world = World().ready().start(flow(20.0), purge(300), valve("tma", 40))
    world.run_until_ended()
    path, full = tmp_path / "r", tmp_path / "r.new"
    full.mkdir()
    diary = Diary(RunMemory(tmp_path / "m"), path, 0)
    state, refused = State(), 0
    for _, now, effects in replay(world.inputs):
        try:
            diary.before(state, now, effects, 10)
        except OSError:
            refused += 1
            full.rmdir()
            assert RunMemory(tmp_path / "m").open_run(1000) is None, "nothing was remembered of it"
            diary.before(state, now, effects, 10)
        diary.after(effects)
        state = now
    assert refused == 1
    full.mkdir()
    diary.catch_up(within_s=10)
    assert Diary(RunMemory(tmp_path / "n"), path, 0).found is not None
    full.rmdir()
    diary.catch_up(within_s=10)
    assert Diary(RunMemory(tmp_path / "o"), path, 0).found is None


def test_the_opening_edge_that_left_is_remembered(tmp_path):
    world = World().ready().start(flow(20.0), purge(300), valve("tma", 4000))
    world.run_for(800 * MS)
    diary = Diary(RunMemory(tmp_path / "m"), tmp_path / "r", 0)
    state = State()
    for _, now, effects in replay(world.inputs):
        diary.before(state, now, effects, 10)
        state = now
    found = Diary(RunMemory(tmp_path / "m"), tmp_path / "r", 1000).found
    assert found is not None
    assert found.is_exact
    assert found.pulse is not None
    assert found.pulse.opened_sent_ns > 0


def test_killed_between_the_end_of_a_run_and_the_ledger_the_end_is_known_and_written_later(
    tmp_path,
):
    memory, path = RunMemory(tmp_path / "m"), tmp_path / "r"
    diary = Diary(memory, path, 0)
    world = World().ready().start(wait(10))
    world.run_until_ended()
    state, records = State(), 0
    for _, now, effects in replay(world.inputs):
        diary.before(state, now, effects, records)
        records += sum(isinstance(e, Journal) for e in effects)
        diary.after(effects)
        state = now
    new = Diary(RunMemory(tmp_path / "m"), path, records)
    assert new.found is None
    assert new.ledger.last is not None
    new.catch_up(within_s=10)
    assert Diary(RunMemory(tmp_path / "blank"), path, 0).found is None


def test_a_run_that_never_began_may_be_started_yet(tmp_path):
    world = World().ready()
    Diary(RunMemory(tmp_path / "m"), tmp_path / "r", 0)
    world.start(flow(20.0), purge(300), valve("tma", 40))
    started = open_run(world.state)
    write_ledger(tmp_path / "r", Ledger(open=started, uids=("an-earlier-one", UID)))
    diary = Diary(RunMemory(tmp_path / "m"), tmp_path / "r", 10)
    assert (diary.found, diary.ledger.uids) == (None, ("an-earlier-one",))
    diary.catch_up(within_s=10)
    assert Diary(RunMemory(tmp_path / "n"), tmp_path / "r", 0).ledger.uids == ("an-earlier-one",)
    later = World(started_uids=diary.ledger.uids).ready().start(wait(10))
    assert later.run_until_ended().outcome is RunOutcome.COMPLETED


@pytest.mark.parametrize("message", ["short", "x" * 100_000])
def test_a_run_that_has_ended_is_never_started_again_though_the_ledger_does_not_have_its_end(
    tmp_path, message
):
    path = tmp_path / "r"
    diary = Diary(RunMemory(tmp_path / "m"), path, 0)
    world = World().ready().start(wait(1000))
    world.run_for(100 * MS)
    world.abort(reason=message)
    world.run_for(1 * S)
    state, records = State(), 0
    for _, now, effects in replay(world.inputs):
        diary.before(state, now, effects, records)
        records += sum(isinstance(e, Journal) for e in effects)
        if state.run is not None and now.run is None:
            killed = Diary(RunMemory(tmp_path / "m"), path, records)
            assert (killed.found, killed.ledger.uids) == (None, (UID,))
        diary.after(effects)
        state = now
    new = Diary(RunMemory(tmp_path / "m"), path, records)
    assert (new.found, new.ledger.uids) == (None, (UID,))


def test_a_later_attempt_that_never_began_leaves_the_run_known(tmp_path):
    Diary(RunMemory(tmp_path / "m"), tmp_path / "r", 0)
    started = open_run(World().ready().start(wait(10)).state)
    assert started is not None
    write_ledger(tmp_path / "r", Ledger(open=replace(started, attempt=2), uids=(UID,)))
    assert Diary(RunMemory(tmp_path / "m"), tmp_path / "r", 10).ledger.uids == (UID,)


def test_the_doubt_that_a_lost_ledger_leaves_outlives_the_executor_that_met_it(tmp_path):
    path = tmp_path / "r"
    path.write_bytes(b"torn")
    assert Diary(RunMemory(tmp_path / "m"), path, 0, is_lost=True).is_doubtful
    # It died before the ledger was put aside, or behind that.
    for _ in range(2):
        left = Diary(RunMemory(tmp_path / "m"), path, 0, is_lost=path.exists())
        assert left.unsafe == Unsafe()
        path.unlink(missing_ok=True)


def test_a_run_that_was_refused_after_the_volume_had_it_is_taken_back(tmp_path, monkeypatch):
    world = World().ready().start(wait(10))

    def late(path, ledger):
        write_ledger(path, ledger)
        if ledger.open is not None:
            raise OSError(errno.EIO, "the directory could not be synced")

    monkeypatch.setattr(diary_module, "write_ledger", late)
    diary = Diary(RunMemory(tmp_path / "m"), tmp_path / "r", 0)
    start = kept(diary, world, RunStarted)
    with pytest.raises(OSError, match="synced"):
        diary.before(*start)
    diary.catch_up(within_s=10)
    left = Diary(RunMemory(tmp_path / "n"), tmp_path / "r", 0)
    assert left.found is None
    assert UID not in left.ledger.uids, "it may be started yet"


@pytest.fixture
def stalled(monkeypatch):
    """Let no file come to the volume before the event is set."""
    goes_on = threading.Event()

    def slow(path, ledger):
        assert goes_on.wait(20)
        write_ledger(path, ledger)

    yield lambda: monkeypatch.setattr(diary_module, "write_ledger", slow), goes_on.set
    goes_on.set()


def test_a_volume_that_hangs_keeps_nobody_waiting_for_the_end_of_a_run_and_takes_no_other_meanwhile(
    tmp_path, stalled, monkeypatch
):
    monkeypatch.setattr(diary_module, "START_WAITS_S", 0.01)
    stall, go_on = stalled
    world = World().ready().start(wait(10))
    world.run_until_ended()
    start = kept(Diary(RunMemory(tmp_path / "a"), tmp_path / "b", 0), world, RunStarted)
    assert start is not None
    diary = Diary(RunMemory(tmp_path / "m"), tmp_path / "r", 0)
    assert kept(diary, world, ()) is None
    stall()
    for _ in range(3):
        diary.catch_up()
    assert Diary(RunMemory(tmp_path / "n"), tmp_path / "r", 0).found is not None, "on its way"
    with pytest.raises(OSError, match="still on its way"):
        diary.before(*start)
    go_on()
    diary.catch_up(within_s=10)
    assert Diary(RunMemory(tmp_path / "o"), tmp_path / "r", 0).found is None
    diary.before(*start)
    assert Diary(RunMemory(tmp_path / "p"), tmp_path / "r", 0).found is not None


def test_a_run_that_was_refused_for_a_volume_that_hung_is_taken_back_when_it_has_come(
    tmp_path, stalled, monkeypatch
):
    monkeypatch.setattr(diary_module, "BEGINNING_WAITS_S", 0.01)
    stall, go_on = stalled
    world = World().ready().start(wait(10))
    diary = Diary(RunMemory(tmp_path / "m"), tmp_path / "r", 0)
    start = kept(diary, world, RunStarted)
    stall()
    with pytest.raises(OSError, match="not answered"):
        diary.before(*start)
    assert not diary.catch_up(), "on its way"
    go_on()
    while not diary.catch_up(within_s=10):
        pass
    left = Diary(RunMemory(tmp_path / "n"), tmp_path / "r", 0)
    assert (left.found, left.ledger.uids) == (None, ())
