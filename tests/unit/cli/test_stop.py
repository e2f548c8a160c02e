import threading
import time

import msgspec
import pytest

from ald.cli.stop import is_confirmed, is_under_way, stop, summary
from ald.errors import PeerError
from ald.records.event import MachineState, RunIdentity, RunOutcome
from ald.wire import AbortRun, RunProgress
from fixtures.driver import CONNECTED, IDLE, FakeDriver
from fixtures.wait import eventually


def run(uid="u-1", outcome=None):
    return RunProgress(
        run=RunIdentity(namespace="lab", name="first", uid=uid),
        program_digest="",
        step="",
        path="",
        iterations=(),
        leaves_done=0,
        leaves_total=1,
        started_wall_ns=0,
        ended_wall_ns=0,
        estimated_end_wall_ns=0,
        pulses=0,
        worst_error_ns=0,
        held="",
        outcome=outcome,
        message="",
    )


def status(state=MachineState.IDLE, **changes):
    return msgspec.structs.replace(IDLE, state=state, **changes)


ON = status(MachineState.EXECUTE, run=run())
ENDED = run(outcome=RunOutcome.ABORTED)
UNSAFE = {"safe_confirmed": False}


@pytest.mark.parametrize(
    ("before", "now", "under_way", "confirmed"),
    [
        (ON, status(MachineState.ABORTING, run=run(), **UNSAFE), True, False),
        (ON, status(MachineState.ABORTING, run=ENDED, **UNSAFE), True, False),
        (ON, status(MachineState.EXECUTE, run=run()), True, False),
        (ON, status(MachineState.STOPPED, run=ENDED), False, True),
        (ON, status(MachineState.IDLE, run=ENDED), False, True),
        # The next run of the queue has begun meanwhile: this one was stopped.
        (ON, status(MachineState.EXECUTE, run=run("u-2")), False, True),
        (ON, status(MachineState.ABORTED, run=ENDED, **UNSAFE), False, False),
        (ON, status(MachineState.ABORTED, run=ENDED), False, False),
        (status(), status(), False, True),
        # Mode Observe: nothing is written, so nothing is confirmed.
        (
            status(MachineState.STOPPED, **UNSAFE),
            status(MachineState.STOPPED, **UNSAFE),
            False,
            False,
        ),
    ],
)
def test_only_a_safe_state_that_the_plc_acknowledged_counts(before, now, under_way, confirmed):
    assert is_under_way(before, now) is under_way
    assert is_confirmed(before, now) is confirmed


def test_a_summary_says_what_became_of_machine_run_and_link():
    lost = msgspec.structs.replace(CONNECTED, connected=False, message="no answer")
    now = status(MachineState.ABORTED, message="look at it", run=ENDED, link=lost)
    assert summary(ON, now) == (
        "the machine is Aborted; look at it; run first ended: Aborted; no connection to the PLC (no answer)"
    )


def test_a_stop_reaches_the_successor_of_a_driver_that_dies_before_it_answers(tmp_path, capsys):
    path = tmp_path / "driver.sock"
    first, later = FakeDriver(path), []
    first.silent = True

    def replace():
        eventually(lambda: bool(first.asked), within_s=10)
        first.close()
        time.sleep(0.3)
        later.append(FakeDriver(path))

    replacing = threading.Thread(target=replace)
    replacing.start()
    stop(run_dir=tmp_path)
    replacing.join()
    assert first.orders() == []
    assert [type(order) for order in later[0].orders()] == [AbortRun]
    assert capsys.readouterr().out.startswith("safe state confirmed by the PLC")
    later[0].close()


def test_a_stop_that_no_driver_takes_is_given_up_in_time(tmp_path):
    began = time.monotonic()
    with pytest.raises(PeerError, match="no driver answers at"):
        stop(run_dir=tmp_path)
    assert time.monotonic() - began < 10
