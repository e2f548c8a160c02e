import asyncio

import msgspec
import pytest

from ald.gateway.front.board import HISTORY_PATIENCE_NS, STEP_INTERVAL_NS, Board
from ald.gateway.front.feed import Marks
from ald.records.event import MachineState, RunIdentity
from ald.standing import InterlockStatus, ReadinessStatus
from ald.wire import DriverReply, RunProgress
from fixtures.driver import IDLE

MARKS = Marks(feed="f", latest=5, committed=3, dropped_to=0, lost=0, ring="r", ring_sequence=5)
RUN = RunProgress(
    run=RunIdentity(namespace="lab", name="run-1", uid="u"),
    program_digest="",
    step="deposit",
    path="spec.steps[0]",
    iterations=(),
    leaves_done=0,
    leaves_total=9,
    started_wall_ns=0,
    ended_wall_ns=0,
    estimated_end_wall_ns=0,
    pulses=0,
    worst_error_ns=0,
    held="",
    outcome=None,
    message="",
)


class Clock:
    """Stands still until it is moved."""

    now_ns = 5_000_000_000

    def monotonic_ns(self):
        return self.now_ns

    def wall_ns(self):
        return 1_700_000_000_000_000_000 + self.now_ns


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def board(clock):
    return Board(clock)


def running(**changes):
    return msgspec.structs.replace(IDLE, run=msgspec.structs.replace(RUN, **changes))


def test_the_status_says_what_is_known(board):
    assert board.status.driver is None
    assert not board.status.journal_ok
    board.set_driver(IDLE)
    board.set_journal(MARKS, ok=True, message="")
    status = board.status
    assert (status.driver, status.feed, status.feed_position, status.feed_committed) == (
        IDLE,
        "f",
        5,
        3,
    )
    assert status.journal_ok


@pytest.mark.parametrize(
    "change",
    [
        {"state": MachineState.ABORTED},
        {"session": "session-b"},
        {"plant_confirmed": False},
        {"safe_confirmed": False},
        {"link": msgspec.structs.replace(IDLE.link, connected=False)},
        {"run": RUN},
        {"interlocks": InterlockStatus(declared=1, tripped=("a",))},
        {"readiness": ReadinessStatus(declared=1, missing=("a",))},
    ],
)
def test_what_matters_raises_the_revision_at_once(board, change):
    board.set_driver(IDLE)
    before = board.status.revision
    board.set_driver(msgspec.structs.replace(IDLE, **change))
    assert board.status.revision == before + 1


@pytest.mark.parametrize(
    "change",
    [
        {"scan": msgspec.structs.replace(IDLE.scan, sequence=99)},
        {"link": msgspec.structs.replace(IDLE.link, requests=99)},
    ],
)
def test_counters_alone_raise_nothing_but_are_shown(board, change):
    board.set_driver(IDLE)
    before = board.status.revision
    board.set_driver(msgspec.structs.replace(IDLE, **change))
    assert board.status.revision == before
    assert board.status.driver == msgspec.structs.replace(IDLE, **change)


def test_steps_raise_the_revision_at_most_once_a_second(board, clock):
    board.set_driver(running())
    before = board.status.revision
    for number in range(20):
        clock.now_ns += STEP_INTERVAL_NS // 10
        board.set_driver(running(path=f"spec.steps[{number}]"))
    assert board.status.revision == before + 2
    # The last step is not forgotten: it shows as soon as its second is over.
    clock.now_ns += STEP_INTERVAL_NS
    board.set_driver(running(path="spec.steps[19]"))
    board.set_driver(running(path="spec.steps[19]"))
    assert board.status.revision == before + 2
    board.set_driver(running(path="spec.steps[20]"))
    assert board.status.revision == before + 3


def test_a_driver_that_went_away_and_who_is_in_its_way_are_news(board):
    board.set_driver(IDLE)
    before = board.status.revision
    board.set_driver(None)
    board.set_driver(None, waiting_for="pod-b/7")
    board.set_driver(None, waiting_for="pod-b/7")
    assert board.status.revision == before + 2
    assert board.status.waiting_for == "pod-b/7"


def reply(at_ns, **changes):
    return DriverReply(id=1, at_ns=at_ns, status=msgspec.structs.replace(IDLE, **changes))


def test_an_answer_that_a_later_one_overtook_is_not_taken_in(board):
    board.answered(reply(10))
    board.answered(reply(30, state=MachineState.EXECUTE, run=RUN))
    before = board.status
    board.answered(reply(20))
    assert board.status == before, "a run that was accepted does not vanish again"
    board.answered(reply(40))
    assert board.driver == IDLE


def test_the_journal_is_news_when_its_state_changes_but_not_with_each_record(board):
    board.set_journal(MARKS, ok=True, message="")
    before = board.status.revision
    board.set_journal(msgspec.structs.replace(MARKS, latest=6), ok=True, message="")
    assert (board.status.revision, board.status.feed_position) == (before, 6)
    board.set_journal(None, ok=False, message="the volume is full")
    assert (board.status.revision, board.status.feed_position) == (before + 1, 6)
    assert board.status.journal_message == "the volume is full"


def test_a_later_life_of_the_front_begins_with_a_higher_revision(clock, board):
    board.set_driver(IDLE)
    clock.now_ns += 3_000_000_000
    assert Board(clock).status.revision > board.status.revision


async def test_who_waits_is_woken_by_what_it_waits_for(board):
    seen = board.status.revision
    async with asyncio.TaskGroup() as group:
        revision = group.create_task(board.wait_for_revision(seen, 30))
        position = group.create_task(board.wait_for_position(5, 30))
        await asyncio.sleep(0)
        board.set_journal(MARKS, ok=True, message="")
        await revision
        assert not position.done()
        board.set_journal(msgspec.structs.replace(MARKS, latest=6), ok=True, message="")
        await position


async def test_waiting_ends_with_its_time_and_with_the_process(board):
    seen = board.status.revision
    await board.wait_for_revision(seen, 0.01)
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(board.wait_for_position(5, 30))
        await asyncio.sleep(0)
        board.close()
        await waiting
    assert board.status.revision == seen


async def test_a_position_behind_the_end_of_the_feed_is_not_waited_for(board):
    board.set_journal(MARKS, ok=True, message="")
    await board.wait_for_position(6, 30)


async def test_a_revision_that_was_never_given_is_not_waited_for(board):
    await board.wait_for_revision(board.status.revision + 1000, 30)


def marks(**changes):
    return msgspec.structs.replace(MARKS, **changes)


def journal(board, **changes):
    board.set_journal(marks(**changes), ok=True, message="")


def test_nothing_is_said_of_the_history_before_the_journal_is_open(board):
    assert board.status.history is None


def test_a_reader_that_fetches_nothing_for_a_minute_is_told_at_once(board, clock):
    journal(board, latest=5, committed=3)
    since = clock.wall_ns()
    clock.now_ns += HISTORY_PATIENCE_NS - 1
    journal(board, latest=9, committed=3)
    revision = board.status.revision
    assert not board.status.history.stalled
    clock.now_ns += 1
    board.set_driver(IDLE)
    assert board.status.history.stalled
    assert board.status.history.since_wall_ns == since
    assert board.status.revision > revision, "whoever waits for a change hears of it"
    revision = board.status.revision
    journal(board, latest=9, committed=4)
    assert not board.status.history.stalled
    assert board.status.revision > revision


def test_a_reader_that_has_everything_never_falls_behind(board, clock):
    journal(board, latest=5, committed=5)
    clock.now_ns += 10 * HISTORY_PATIENCE_NS
    board.set_driver(IDLE)
    assert not board.status.history.stalled
    journal(board, latest=6, committed=5)
    assert not board.status.history.stalled, "the record has only just been made"


def test_dropped_scans_are_in_the_status(board):
    journal(board, lost=17)
    assert board.status.history.lost == 17
