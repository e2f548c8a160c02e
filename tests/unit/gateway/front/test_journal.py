import asyncio
import threading

import pytest
from msgspec.structs import replace
from typing_extensions import override

from ald.errors import CorruptRecordError, StoreError
from ald.gateway.front import journal as journal_module
from ald.gateway.front.board import Board
from ald.gateway.front.feed import Keep
from ald.gateway.front.journal import PRUNE_INTERVAL_NS, Journal, Worker
from ald.gateway.front.settings import Settings
from ald.gateway.holder import Holder
from ald.gateway.ring import EVENT, SCAN, RingWriter
from ald.kit.clock import SystemClock
from fixtures.full_volume import files_of_at_most
from fixtures.plants import small_plant
from fixtures.records import plant_loaded, pulse_done, scan_of, session_ended, session_started

PLANT = small_plant()
PAGE_BYTES = 4096
KEEP = Keep(age_ns=10**15, bytes_max=1 << 30)


@pytest.fixture
def settings(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "state").mkdir()
    return Settings(
        installation="test",
        namespace="lab",
        machine="reactor-1",
        machine_uid="u",
        run_dir=str(tmp_path / "run"),
        state_dir=str(tmp_path / "state"),
    )


@pytest.fixture
def ring(settings):
    return RingWriter(settings.ring, 1 << 20, "session-a")


@pytest.fixture
def worker(settings):
    made = Worker(settings, KEEP, "pod-a/1", SystemClock())
    yield made
    made.close()


def test_a_missing_ring_is_said_and_does_no_harm(worker):
    drained = worker.turn()
    assert drained.ok
    assert "the driver has not made" in drained.message
    assert drained.marks.latest == 0


def test_records_go_from_the_ring_into_the_feed_and_free_the_ring(worker, ring):
    ring.append(EVENT, session_started("session-a"))
    ring.append(SCAN, scan_of(PLANT))
    drained = worker.turn()
    assert (drained.ok, drained.message, drained.marks.latest) == (True, "", 2)
    assert ring.used == 0
    assert [r.kind for r in worker.read(0, 10).records] == ["event", "scan"]


def test_what_the_front_needs_is_seen_on_the_way_and_kept(worker, ring, settings):
    ring.append(EVENT, session_started("session-a"))
    ring.append(EVENT, plant_loaded(PLANT))
    ring.append(EVENT, pulse_done(1))
    ring.append(SCAN, scan_of(PLANT, 1))
    ring.append(SCAN, scan_of(PLANT, 2))
    ring.append(EVENT, b"\xc1 no event of any version")
    drained = worker.turn()
    assert (drained.plant, drained.pulses, drained.session) == (PLANT, 1, "session-a")
    assert drained.scan == scan_of(PLANT, 2)
    assert drained.marks.latest == 6
    worker.close()
    # The next front knows plant and session although their events are behind it.
    again = Worker(settings, KEEP, "pod-a/2", SystemClock()).turn()
    assert (again.plant, again.session) == (PLANT, "session-a")


def test_the_end_of_a_session_is_seen(worker, ring):
    ring.append(EVENT, session_started("session-a"))
    ring.append(EVENT, session_ended("session-a"))
    assert worker.turn().session == ""


@pytest.mark.requirement("FR-01")
def test_a_foreign_journal_is_said_and_the_ring_stays_untouched(worker, ring, settings):
    worker.turn()
    worker.close()
    ring.append(EVENT, pulse_done())
    other = Settings(
        installation="test",
        namespace="lab",
        machine="reactor-2",
        machine_uid="u",
        run_dir=settings.run_dir,
        state_dir=settings.state_dir,
    )
    stranger = Worker(other, KEEP, "pod-b/1", SystemClock())
    drained = stranger.turn()
    stranger.close()
    assert not drained.ok
    assert "holds the journal of machine test/lab/reactor-1" in drained.message
    assert drained.marks is None
    assert ring.used > 0
    assert worker.turn().marks.latest == 1


@pytest.mark.requirement("INT-19")
def test_a_second_front_on_the_same_volume_waits_and_says_for_whom(worker, settings):
    held = Holder(settings.feed_holder, "pod-b/9")
    drained = worker.turn()
    assert not drained.ok
    assert "is held by pod-b/9" in drained.message
    with pytest.raises(StoreError, match="not open"):
        worker.read(0, 10)
    held.release()
    assert worker.turn().ok


@pytest.mark.requirement("FI-DF-01")
def test_a_full_volume_is_said_keeps_the_ring_and_recovers_unaided(worker, ring, settings):
    worker.turn()
    for _ in range(200):
        ring.append(SCAN, bytes(2000))
    with files_of_at_most(settings.feed.stat().st_size + 100_000):
        drained = worker.turn()
        assert not drained.ok
        assert "takes no more data" in drained.message
        assert ring.used > 200 * 2000
    drained = worker.turn()
    assert (drained.ok, drained.message, drained.marks.latest) == (True, "", 200)
    assert ring.used == 0


def test_a_damaged_file_is_said_and_left_alone(worker, settings):
    settings.feed.write_bytes(b"no database" * 1000)
    drained = worker.turn()
    assert not drained.ok
    assert "is damaged" in drained.message
    assert settings.feed.read_bytes() == b"no database" * 1000


def test_damage_where_only_the_front_itself_looks_is_said_and_does_not_end_it(
    worker, ring, settings
):
    large = replace(PLANT, parameters=PLANT.parameters * 400)
    ring.append(EVENT, plant_loaded(large))
    assert worker.turn().ok
    worker.close()
    data = bytearray(settings.feed.read_bytes())
    # Of a long value each page begins with the number of the next one.
    for page in range(10 * PAGE_BYTES, len(data), PAGE_BYTES):
        data[page : page + 4] = b"\xff" * 4
    settings.feed.write_bytes(data)
    drained = worker.turn()
    assert not drained.ok
    assert drained.lasting
    assert "is damaged" in drained.message


@pytest.mark.parametrize("name", ["state", "ring"])
def test_what_cannot_be_opened_is_said_until_it_can(worker, settings, tmp_path, name):
    if name == "state":
        (tmp_path / "state").rename(tmp_path / "elsewhere")
    else:
        settings.ring.mkdir()
    for _ in range(2):
        drained = worker.turn()
        assert not drained.ok
        assert not drained.lasting
        assert str(tmp_path) in drained.message
    if name == "state":
        (tmp_path / "elsewhere").rename(tmp_path / "state")
    else:
        settings.ring.rmdir()
    assert worker.turn().ok


def test_a_damaged_record_ends_trust_in_the_journal_but_not_recording(worker, ring, settings):
    ring.append(EVENT, b"some body to be found")
    worker.turn()
    worker.close()
    data = settings.feed.read_bytes()
    settings.feed.write_bytes(data.replace(b"to be found", b"to be faund"))
    assert worker.turn().ok
    with pytest.raises(CorruptRecordError):
        worker.read(0, 10)
    ring.append(EVENT, b"the next")
    drained = worker.turn()
    assert not drained.ok
    assert "position 1 fails its check" in drained.message
    assert drained.marks.latest == 2


class StillClock(SystemClock):
    """Monotonic time that a test moves, from zero."""

    now_ns = 0

    @override
    def monotonic_ns(self) -> int:
        return self.now_ns


def test_damage_that_only_pruning_meets_is_not_forgotten_until_the_file_is_moved_aside(
    ring, settings
):
    clock = StillClock()
    worker = Worker(settings, KEEP, "pod-a/1", clock)
    for _ in range(100):
        ring.append(SCAN, bytes(3000))
    marks = worker.turn().marks
    assert marks is not None
    worker.commit(marks.feed, marks.latest)
    worker.close()
    with settings.feed.open("r+b") as file:
        file.seek(20 * 4096)
        file.write(b"\xff" * 40 * 4096)
    assert worker.turn().ok
    clock.now_ns += PRUNE_INTERVAL_NS
    assert "is damaged" in worker.turn().message
    for _ in range(3):
        ring.append(EVENT, pulse_done())
        drained = worker.turn()
        assert (drained.ok, ring.used) == (False, 0)
        assert "is damaged" in drained.message
    worker.close()
    settings.feed.unlink()
    assert worker.turn().ok
    worker.close()


async def test_the_board_follows_and_trouble_is_told_once(worker, ring, settings):
    board = Board(SystemClock())
    troubles: list[str] = []
    journal = Journal(worker, board, troubles.append)
    held = Holder(settings.feed_holder, "pod-b/9")
    await journal.turn()
    await journal.turn()
    assert (board.status.journal_ok, len(troubles)) == (False, 1)
    held.release()
    ring.append(EVENT, pulse_done())
    ring.append(EVENT, plant_loaded(PLANT))
    ring.append(SCAN, scan_of(PLANT))
    await journal.turn()
    assert board.status.journal_ok
    assert (board.status.feed_position, journal.plant, journal.pulses) == (3, PLANT, 1)
    assert journal.scan == scan_of(PLANT)
    await journal.commit(board.status.feed, 2)
    assert board.status.feed_committed == 2
    assert len((await journal.read(2, 10)).records) == 1
    await journal.close()


async def test_running_drains_until_it_is_told_to_end(worker, ring):
    board = Board(SystemClock())
    journal = Journal(worker, board, print)
    ending = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(journal.run(ending))
        for number in range(1, 4):
            ring.append(EVENT, pulse_done(number))
            await board.wait_for_position(number - 1, 10)
            assert board.status.feed_position == number
        ending.set()
    await journal.close()


async def test_the_farewell_waits_for_the_last_record_of_the_session(worker, ring):
    journal = Journal(worker, Board(SystemClock()), print)
    ring.append(EVENT, session_started("session-a"))
    await journal.turn()
    await journal.drain(0.1)
    assert journal.session == "session-a"
    async with asyncio.TaskGroup() as group:
        farewell = group.create_task(journal.drain(30))
        await journal.turn()
        assert not farewell.done()
        ring.append(EVENT, session_ended("session-a"))
        await farewell
    assert journal.session == ""
    await journal.close()


async def test_the_farewell_does_not_wait_for_a_journal_that_only_a_person_can_mend(
    worker, settings
):
    settings.feed.write_bytes(b"no database" * 1000)
    journal = Journal(worker, Board(SystemClock()), print)
    async with asyncio.timeout(20):
        await journal.drain(30)
    await journal.close()


async def test_a_volume_that_does_not_answer_is_said_not_to_serve_until_it_does(
    worker, ring, monkeypatch
):
    answers = threading.Event()
    turn = worker.turn

    def hanging():
        answers.wait(20)
        return turn()

    board, troubles = Board(SystemClock()), list[str]()
    journal = Journal(worker, board, troubles.append)
    await journal.turn()
    assert board.status.journal_ok
    monkeypatch.setattr(worker, "turn", hanging)
    monkeypatch.setattr(journal_module, "STUCK_S", 0.05)
    ring.append(EVENT, pulse_done())
    turning = asyncio.create_task(journal.turn())
    await board.wait_for_revision(board.status.revision, 10)
    stands = (board.status.journal_ok, board.status.journal_message)
    assert stands == (False, journal_module.STUCK)
    assert len(troubles) == 1
    answers.set()
    assert (await turning).ok
    assert (board.status.journal_ok, board.status.journal_message, ring.used) == (True, "", 0)
    await journal.close()
