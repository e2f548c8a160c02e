from typing import get_args

import msgspec
import pytest

from ald.api.machine_status import MachineConditionType, MachineReason, MachineStatus, State
from ald.controller.conditions import find
from ald.controller.decide_machine import decide_machine
from ald.controller.views import Reach
from ald.errors import Violation
from ald.plant.model import Mode
from ald.records.event import MachineState
from ald.standing import HistoryStatus, InterlockStatus
from fixtures.played_gateway import driver_status, gateway_status
from unit.controller import situations as s

WRONG = Violation(path="spec.valves[0]", value="9", rule="two valves have this coil", hint="change")
RUNNING = {"run": s.progress_of(), "state": MachineState.EXECUTE}
TRIPPED = InterlockStatus(
    declared=2,
    tripped=("pressure", "too-hot"),
    first_out="too-hot",
    message="interlock pressure is violated: gauge = 900 Pa; interlock too-hot is violated",
)
STALLED = HistoryStatus(stalled=True, since_wall_ns=1_700_000_000_000_000_000)
OTHER_PLANT = {"plant_digest": "another"}


def plant(**changes):
    assert s.PLANT.plant is not None
    return msgspec.structs.replace(s.PLANT.plant, **changes)


def link(**changes):
    return msgspec.structs.replace(driver_status().link, **changes)


def gateway(driver, **changes):
    return s.situation(reach=Reach(status=gateway_status(driver, **changes), reason="", message=""))


CASES = {
    "ready": (s.situation(), "Ready", "True", "Ready"),
    "running": (s.situation(s.idle(**RUNNING)), "Ready", "True", "Ready"),
    "nothing is known yet": (s.situation(reach=Reach()), "Ready", "Unknown", "Pending"),
    "gateway away": (s.without_gateway(), "Ready", "False", "GatewayUnreachable"),
    "gateway starts": (s.without_gateway("GatewayStarting"), "Ready", "False", "GatewayStarting"),
    "wrong identity": (s.without_gateway("IdentityRefused"), "Ready", "False", "IdentityRefused"),
    "driver away": (gateway(None), "Ready", "False", "GatewayStarting"),
    "predecessor": (
        gateway(None, waiting_for="pod-1"), "Ready", "False", "WaitingForPredecessor",
    ),
    "invalid": (
        s.situation(plant=None, violations=(WRONG,)), "Ready", "False", "InvalidSpec",
    ),
    "aborted": (s.situation(s.idle(state=MachineState.ABORTED)), "Ready", "False", "Aborted"),
    "no PLC": (
        s.situation(s.idle(link=link(connected=False))), "Ready", "False", "Disconnected",
    ),
    "journal": (gateway(s.idle(), journal_ok=False), "Ready", "False", "RecordingFailed"),
    "other plant": (s.situation(s.idle(**OTHER_PLANT)), "Ready", "False", "Pending"),
    "interlocked": (s.situation(s.idle(interlocks=TRIPPED)), "Ready", "False", "Interlocked"),
    "tripped": (s.situation(s.idle(interlocks=TRIPPED)), "Interlocked", "True", "Interlocked"),
    "interlocks": (
        s.situation(s.idle(interlocks=InterlockStatus(declared=2))),
        "Interlocked", "False", "InterlocksSatisfied",
    ),
    "no interlocks": (s.situation(), "Interlocked", "False", "NoInterlocks"),
    "interlocks of a gateway that is away": (s.without_gateway(), "Interlocked", "Unknown", "Pending"),
    "interlocks without a PLC": (
        s.situation(s.idle(interlocks=InterlockStatus(declared=2), link=link(connected=False))),
        "Interlocked", "Unknown", "Disconnected",
    ),
    "stopped": (s.situation(s.idle(state=MachineState.STOPPED)), "Ready", "False", "Stopped"),
    "observing": (
        s.situation(s.idle(state=MachineState.STOPPED), plant=plant(mode=Mode.OBSERVE)),
        "Ready", "True", "Observing",
    ),
    "no watchdog": (s.situation(plant=plant(heartbeat=None)), "Ready", "False", "NoHeartbeat"),
    "no watchdog, allowed": (
        s.situation(plant=plant(heartbeat=None, allow_without_watchdog=True)),
        "Ready", "True", "Ready",
    ),
    "being deleted": (
        s.situation(machine=s.edited(s.MACHINE, "metadata.deletionTimestamp", s.NOW)),
        "Ready", "False", "Terminating",
    ),
    "configured": (s.situation(), "Configured", "True", "Accepted"),
    "not configured": (s.situation(s.idle(**OTHER_PLANT)), "Configured", "False", "Pending"),
    "configuration waits": (
        s.situation(s.idle(**RUNNING, **OTHER_PLANT)), "Configured", "False", "WaitingForRun",
    ),
    "template waits": (
        s.situation(s.idle(**RUNNING), template_waits=True), "UpdatePending", "True", "WaitingForRun",
    ),
    "template waits for a run that is not on just now": (
        s.situation(template_waits=True, is_busy=True), "UpdatePending", "True", "WaitingForRun",
    ),
    "configured while the template waits": (
        s.situation(template_waits=True), "Configured", "True", "Accepted",
    ),
    "template rolls out": (
        s.situation(template_waits=True), "UpdatePending", "True", "Replacing",
    ),
    "up to date": (s.situation(), "UpdatePending", "False", "UpToDate"),
    "invalid spec": (
        s.situation(plant=None, violations=(WRONG,)), "Configured", "False", "InvalidSpec",
    ),
    "configuration unknown": (s.without_gateway(), "Configured", "Unknown", "Pending"),
    "connected": (s.situation(), "Connected", "True", "Connected"),
    "disconnected": (
        s.situation(s.idle(link=link(connected=False))), "Connected", "False", "Disconnected",
    ),
    "connection unknown": (s.without_gateway(), "Connected", "Unknown", "GatewayUnreachable"),
    "watchdog": (s.situation(), "PLCWatchdog", "True", "HeartbeatConfigured"),
    "watchdog silent": (
        s.situation(s.idle(watchdog=False)), "PLCWatchdog", "False", "Disconnected",
    ),
    "another master": (
        s.situation(s.idle(foreign_master=True)), "PLCWatchdog", "False", "ForeignMaster",
    ),
    "no heartbeat": (
        s.situation(plant=plant(heartbeat=None)), "PLCWatchdog", "False", "NoHeartbeat",
    ),
    "heartbeat in observe": (
        s.situation(plant=plant(mode=Mode.OBSERVE)), "PLCWatchdog", "False", "Observing",
    ),
    "heartbeat unknown": (s.without_gateway(), "PLCWatchdog", "Unknown", "Pending"),
    "history": (
        gateway(s.idle(), history=HistoryStatus(stalled=False)), "HistoryCurrent", "True", "Fetched",
    ),
    "history stalled": (
        gateway(s.idle(), history=STALLED), "HistoryCurrent", "False", "Stalled",
    ),
    "ready while the history stands still": (
        gateway(s.idle(), history=STALLED), "Ready", "True", "Ready",
    ),
    "history of a driver that is away": (
        gateway(None, history=STALLED), "HistoryCurrent", "False", "Stalled",
    ),
    "history unknown": (s.without_gateway(), "HistoryCurrent", "Unknown", "Pending"),
    "history of a journal that is not open": (gateway(s.idle()), "HistoryCurrent", "Unknown", "Pending"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_each_condition_says_what_is_the_case(name):
    situation, kind, status, reason = CASES[name]
    decided = decide_machine(situation, now=s.NOW)
    found = find({"status": decided.status}, kind)
    assert (found["status"], found["reason"]) == (status, reason)
    assert found["message"].endswith(".") or reason == "InvalidSpec"


@pytest.mark.parametrize("name", CASES)
def test_every_status_is_one_that_the_schema_takes(name):
    status = decide_machine(CASES[name][0], now=s.NOW).status
    MachineStatus.model_validate(status)
    assert {each["type"] for each in status["conditions"]} == set(get_args(MachineConditionType))
    assert {each["reason"] for each in status["conditions"]} <= set(get_args(MachineReason))


@pytest.mark.parametrize(
    ("driver", "push"),
    [
        (s.idle(), False),
        (s.idle(**OTHER_PLANT), True),
        (s.idle(plant_confirmed=False), True),
        (s.idle(**OTHER_PLANT, state=MachineState.ABORTED), True),
        (s.idle(**OTHER_PLANT, **RUNNING), False),
        (s.idle(**OTHER_PLANT, state=MachineState.ABORTING), False),
    ],
)
def test_the_plant_is_handed_over_when_the_gateway_works_from_another_and_is_not_busy(driver, push):
    assert decide_machine(s.situation(driver), now=s.NOW).push is push


def test_no_plant_is_handed_over_without_one_or_without_a_driver():
    invalid = s.situation(s.idle(**OTHER_PLANT), plant=None, violations=(WRONG,))
    assert not decide_machine(invalid, now=s.NOW).push
    assert not decide_machine(s.without_gateway(), now=s.NOW).push


@pytest.mark.parametrize("state", MachineState)
def test_every_state_of_the_driver_has_a_word_for_people(state):
    status = decide_machine(s.situation(s.idle(state=state)), now=s.NOW).status
    assert status["state"] in get_args(State)


def test_the_status_shows_session_link_scan_and_the_run():
    scan = msgspec.structs.replace(driver_status().scan, late=3)
    machine = s.edited(s.MACHINE, "metadata.generation", 4)
    waited = link(worst_valve_wait_ns=4_000_000)
    situation = s.situation(s.idle(**RUNNING, scan=scan, link=waited), machine=machine)
    status = decide_machine(situation, now=s.NOW).status
    assert status["observedGeneration"] == 4
    assert status["currentRun"] == "some-run"
    assert status["gateway"] == {"session": "session-1", "plantDigest": s.PLANT.digest}
    assert status["link"] == {
        "connected": True,
        "since": "2023-11-14T22:13:20Z",
        "worstValveWait": 0.004,
    }
    assert status["lastScan"] == {"sequence": 7, "time": "2023-11-14T22:13:21Z", "late": 3}


def test_what_the_plc_refuses_to_be_read_is_named():
    scan = msgspec.structs.replace(driver_status().scan, refused=1, refusals="holding 9 (a.b)")
    status = decide_machine(s.situation(s.idle(scan=scan)), now=s.NOW).status
    connected = next(c for c in status["conditions"] if c["type"] == "Connected")
    assert connected["status"] == "True"
    assert connected["message"] == "The PLC answers, but refuses: holding 9 (a.b)."


def test_scans_that_are_held_back_are_said():
    link = msgspec.structs.replace(driver_status().link, is_holding_back=True)
    status = decide_machine(s.situation(s.idle(link=link)), now=s.NOW).status
    connected = next(c for c in status["conditions"] if c["type"] == "Connected")
    assert connected["status"] == "True"
    assert "held back" in connected["message"]


def test_the_last_known_state_stays_while_the_gateway_is_away():
    situation = msgspec.structs.replace(
        s.without_gateway(), machine=s.edited(s.MACHINE, "status.state", "Held")
    )
    assert decide_machine(situation, now=s.NOW).status["state"] == "Held"


def test_an_aborted_machine_says_how_to_go_on():
    driver = s.idle(state=MachineState.ABORTED, message="an interlock")
    message = decide_machine(s.situation(driver), now=s.NOW).status["message"]
    assert "an interlock" in message
    assert "verb: Clear" in message


def test_a_tripped_interlock_says_which_was_first_and_with_which_values():
    status = decide_machine(s.situation(s.idle(interlocks=TRIPPED)), now=s.NOW).status
    said = find({"status": status}, "Interlocked")["message"]
    assert "gauge = 900 Pa" in said
    assert "Tripped: pressure, too-hot; first was too-hot." in said
    assert status["message"] == said


def test_the_board_says_since_when_the_history_stands_still():
    status = decide_machine(gateway(s.idle(), history=STALLED), now=s.NOW).status
    assert status["message"] == (
        "Ready for a run. The history lacks everything since 2023-11-14T22:13:20Z."
    )


def test_scans_that_were_dropped_are_told_even_when_all_else_is_there():
    told = HistoryStatus(stalled=False, lost=17)
    status = decide_machine(gateway(s.idle(), history=told), now=s.NOW).status
    found = find({"status": status}, "HistoryCurrent")
    assert (found["status"], "17 older scans were dropped" in found["message"]) == ("True", True)
