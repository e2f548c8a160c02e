"""Damaged journals, volumes of another machine, wrong passwords: plain words, nothing hot, and an abort always works."""

import os
import signal
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ald.records.event import MachineState, RunOutcome
from fixtures.played_operator import RefusalError
from fixtures.processes import RECIPE, Part, Processes, cpu_s, throughout
from fixtures.wait import eventually
from fixtures.whole_record import check_whole

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

WATCHED_S = 5.0
CPU_SHARE_MAX = 0.35
"""Of one processor; a front or driver at rest takes a tenth of it, a hot loop all."""

MESSAGES_MAX = 5
"""Log lines of one kind while one trouble lasts."""

PASSWORD_TRIES_MAX = 10
"""Attempts in `WATCHED_S`."""

FLIP_EVERY = 256


def flip(path: Path) -> None:
    """Damage a file all over, its header too."""
    data = bytearray(path.read_bytes())
    for place in range(7, len(data), FLIP_EVERY):
        data[place] ^= 0xFF
    path.write_bytes(bytes(data))


def check_calm(part: Part, pids: list[int], event: str) -> None:
    """Whatever the trouble is, it takes neither the processor nor the log."""
    before = sum(map(cpu_s, pids))
    throughout(lambda: not part.has_died, for_s=WATCHED_S)
    took = sum(map(cpu_s, pids)) - before
    assert took < CPU_SHARE_MAX * WATCHED_S, f"{part.name} took {took:.2f} s of {WATCHED_S} s"
    assert 1 <= len(part.said(event)) <= MESSAGES_MAX, part.said(event)


def test_a_damaged_journal_is_said_and_an_abort_still_works(running: Processes):
    uid = running.operator.start(RECIPE, cycles=100)
    eventually(lambda: len(running.simulator.trace()) >= 6, within_s=15)
    running.front.kill()
    for file in running.state_dir.glob("feed.db*"):
        flip(file)
    running.front.start()
    status = running.operator.wait_for(
        lambda s: s.driver is not None and "damaged" in s.journal_message, within_s=10
    )
    assert not status.journal_ok
    code, said = running.front.plain("/readyz")
    assert code == 503
    assert "feed.db is damaged" in said
    assert "move it aside" in said
    assert running.front.plain("/livez")[0] == 200

    running.operator.abort(uid)
    eventually(lambda: running.open_valves() == [], within_s=1.0)
    run = running.operator.ended(uid, within_s=10)
    assert run.outcome is RunOutcome.ABORTED
    check_calm(running.front, [running.front.pid], "journal_trouble")
    with pytest.raises(RefusalError, match="no run starts without a journal") as refused:
        running.operator.start(RECIPE, cycles=1)
    assert refused.value.reply.reason == "JournalUnwritable"

    # As the message says: moved aside, a new journal begins, with what the ring kept meanwhile.
    for file in running.state_dir.glob("feed.db*"):
        file.rename(running.directory / file.name)
    running.operator.idle(within_s=20)
    check_after_loss(running, running.operator.completed(RECIPE, within_s=30, cycles=1))


def check_after_loss(system: Processes, uid: str) -> None:
    """A journal was lost: what came after it is stored all the same, as a feed of its own."""
    system.stored(uid)
    feeds = system.count("SELECT count(*) FROM feeds")
    assert feeds == 2
    assert system.sql("SELECT kind, reason FROM dead_letters") == []
    per_parameter = system.sql(
        "SELECT parameter_id, count(*) FROM process_data_points WHERE process_id = %s GROUP BY 1",
        uid,
    )
    assert len(per_parameter) > 0
    assert len({rows for _, rows in per_parameter}) == 1


@pytest.mark.requirement("FR-01")
def test_the_volume_of_another_machine_is_refused_and_nothing_moves(running: Processes):
    running.logger.stop()
    running.driver.stop()
    running.front.stop()
    running.simulator.reset_trace()
    accepted = running.simulator.state()["connections"]["accepted"]
    journal = rows(running.state_dir / "feed.db")
    for part in (running.driver, running.front):
        part.environment = part.environment | {"ALD_MACHINE": "another", "ALD_MACHINE_UID": "1234"}
        part.start()
    eventually(lambda: "demo-reactor" in running.front.plain("/readyz")[1], within_s=15)
    said = running.front.plain("/readyz")[1]
    assert "the volume holds the journal of machine test/lab/demo-reactor" in said
    eventually(lambda: bool(running.driver.said("plant_of_another")), within_s=15)
    check_calm(
        running.front,
        [running.front.pid, running.driver.pid, running.executor_pid],
        "journal_trouble",
    )
    status = running.operator.status()
    assert not status.journal_ok
    assert status.driver is not None
    assert status.driver.state is MachineState.STOPPED
    assert status.driver.plant_digest == "", "the plant on the volume is not this machine's"
    assert running.simulator.state()["connections"]["accepted"] == accepted
    assert running.simulator.trace() == []
    with pytest.raises(RefusalError) as refused:
        running.operator.put_plant()
    assert refused.value.reply.reason == "ForeignMachine"
    running.driver.stop()
    running.front.kill()
    assert rows(running.state_dir / "feed.db") == journal, "it is left as it was"


def rows(journal: Path) -> list[tuple[object, ...]]:
    with sqlite3.connect(journal) as connection:
        found = connection.execute("SELECT position, crc FROM feed ORDER BY position").fetchall()
    connection.close()
    return found


def heater(system: Processes) -> float:
    value: float = system.simulator.state()["values"]["chamber-heater.power-on"]
    return value


def driver_session(system: Processes) -> str:
    driver = system.operator.status().driver
    assert driver is not None
    return driver.session


@pytest.mark.parametrize("name", ["plant.bin", "runs.bin"])
def test_a_damaged_file_of_the_driver_keeps_no_machine_from_being_safe(
    running: Processes, name: str
):
    running.operator.start(RECIPE, cycles=100)
    eventually(lambda: len(running.simulator.trace()) >= 6, within_s=15)
    assert heater(running) == 1
    session = driver_session(running)
    # The executor dies with its supervisor. The pod goes too, and with it the memory volume.
    running.driver.kill()
    for file in (running.directory / "run").iterdir():
        file.unlink()
    flip(running.state_dir / name)
    running.driver.start()
    running.operator.wait_for(
        lambda s: s.driver is not None and s.driver.session != session, within_s=20
    )
    running.operator.idle(within_s=20)
    assert running.open_valves() == []
    assert heater(running) == 0, "a run was on, or may have been, so the safe state is whole"
    check_whole(running, running.operator.completed(RECIPE, within_s=30, cycles=1))


def test_a_volume_that_takes_nothing_refuses_runs_and_keeps_no_machine_from_being_safe(
    running: Processes,
):
    session = driver_session(running)
    # Whatever is to be replaced whole is written under this name first.
    blocked = running.state_dir / "runs.bin.new"
    blocked.mkdir()
    with pytest.raises(RefusalError, match="free space or enlarge it") as refused:
        running.operator.start(RECIPE, cycles=1)
    assert refused.value.reply.reason == "VolumeUnwritable"
    blocked.rmdir()
    uid = running.operator.start(RECIPE, cycles=100)
    eventually(lambda: len(running.simulator.trace()) >= 6, within_s=15)
    blocked.mkdir()
    assert driver_session(running) == session, "the executor lived on"
    os.kill(running.executor_pid, signal.SIGKILL)
    run = running.operator.ended(uid, within_s=10)
    assert run.outcome is RunOutcome.GATEWAY_RESTARTED
    eventually(lambda: heater(running) == 0, within_s=5)
    assert running.open_valves() == []
    blocked.rmdir()
    running.operator.idle()
    check_whole(running, running.operator.completed(RECIPE, within_s=30, cycles=1))
    check_whole(running, uid)
    started = running.driver.said("executor_started")
    assert len(started) == 2, "one death, one start"


@pytest.fixture
def remount(running: Processes) -> Iterator[Callable[[str], object]]:
    """Make the gateway's volume `ro`, as a filesystem does by itself after an error of its disk, or `rw` again."""
    volume = str(running.state_dir)
    subprocess.run(["mount", "--bind", volume, volume], check=True)
    try:
        yield lambda how: subprocess.run(["mount", "-o", f"remount,bind,{how}", volume], check=True)
    finally:
        subprocess.run(["umount", "--lazy", volume], check=True)


@pytest.mark.requires_root
def test_a_volume_that_became_read_only_keeps_no_machine_from_being_safe(
    running: Processes, remount: Callable[[str], object]
):
    # Files that were opened before the mount are not of it.
    for part in (running.driver, running.front):
        part.stop()
        part.start()
    running.operator.idle()
    uid = running.operator.start(RECIPE, cycles=100)
    eventually(lambda: len(running.simulator.trace()) >= 6, within_s=15)
    running.driver.kill()
    running.front.kill()
    remount("ro")
    running.front.start()
    running.driver.start()
    run = running.operator.ended(uid, within_s=20)
    assert run.outcome is RunOutcome.GATEWAY_RESTARTED
    eventually(lambda: heater(running) == 0, within_s=5)
    assert running.open_valves() == []
    status = running.operator.status()
    assert not status.journal_ok
    assert "read-only" in status.journal_message
    with pytest.raises(RefusalError) as refused:
        running.operator.start(RECIPE, cycles=1)
    assert "read-only" in refused.value.reply.message
    check_calm(running.front, [running.front.pid, running.executor_pid], "journal_trouble")
    remount("rw")
    running.operator.idle()
    check_whole(running, running.operator.completed(RECIPE, within_s=30, cycles=1))
    check_whole(running, uid)


def test_a_wrong_database_password_is_said_in_plain_words_and_asked_rarely(
    running: Processes, postgres
):
    right = running.logger.environment["ALD_DATABASE_URL"]
    running.logger.stop()
    running.logger.environment["ALD_DATABASE_URL"] = right.replace(":only-on-", ":not-", 1)
    running.logger.start()
    eventually(
        lambda: "password authentication failed" in running.logger.plain("/readyz")[1], within_s=20
    )
    code, said = running.logger.plain("/readyz")
    assert code == 503
    assert "database: not ok" in said
    assert "not-loopback" not in said, "no secret is told"
    assert running.logger.plain("/livez")[0] == 200
    refusals = postgres.log.count("password authentication failed")
    check_calm(running.logger, [running.logger.pid], "database_not_ready")
    assert postgres.log.count("password authentication failed") - refusals < PASSWORD_TRIES_MAX

    uid = running.operator.completed(RECIPE, within_s=30, cycles=2)
    running.logger.stop()
    running.logger.environment["ALD_DATABASE_URL"] = right
    running.logger.start()
    check_whole(running, uid)
