"""A run that was aborted is taken up by another one, with the `startAt` that its own message gives."""

import re

import pytest
import yaml

from fixtures.system import Object, System, run_document
from fixtures.wait import eventually

pytestmark = pytest.mark.e2e

CYCLES = 10
RESTORED = ["carrier", "setpoint", "heater-on", "deposit/purge-water"]
"""Of al2o3-demo: what is set before its loop, and the last purge of the cycle before."""

CYCLE_STEPS = ["deposit/tma", "deposit/purge-tma", "deposit/water", "deposit/purge-water"]
CLEANUP_STEPS = ["heater-off", "rinse"]


@pytest.mark.requirement("REC-03")
@pytest.mark.timeout(180)
def test_an_aborted_run_is_taken_up_where_its_message_says(idle: System) -> None:
    for name in ("cut-short", "taken-up"):
        idle.delete("run", name)
    start = place_after_an_abort(idle)
    first = start["cycle"]
    left = list(range(first, CYCLES + 1))
    assert 2 < first <= CYCLES
    idle.wait_for("machine", "demo-reactor", lambda o: o["status"]["state"] == "Idle", within_s=30)
    before = idle.edges()[-1]["sequence"]

    inputs = {"cycles": CYCLES}
    idle.apply(run_document("taken-up", "al2o3-demo", inputs=inputs, startAt=start))
    looping = idle.wait_for("run", "taken-up", lambda o: o["status"]["iterations"], within_s=30)
    shown = looping["status"]
    assert shown["iterations"] in {f"{cycle}/{CYCLES}" for cycle in left}
    assert shown["stepsDone"] >= len(RESTORED), "all is restored before the loop begins"
    condition = idle.ended("taken-up", within_s=60)
    assert (condition["status"], condition["reason"]) == ("True", "Completed"), condition

    run = idle.get("run", "taken-up")
    steps = [f"restore: {name}" for name in RESTORED] + CYCLE_STEPS * len(left) + CLEANUP_STEPS
    status = run["status"]
    assert status["stepsDone"] == status["stepsTotal"] == len(steps)
    assert status["pulses"]["count"] == 2 * len(left)
    opened = [e["valve"] for e in idle.edges(before) if e["valve"] and e["state"]]
    assert opened == ["tma", "water"] * len(left)
    assert idle.raw("/trace?after=0")["overlaps"] == []
    on_record(idle, run["metadata"]["uid"], steps, left)
    for name in ("cut-short", "taken-up"):
        idle.delete("run", name)


def place_after_an_abort(system: System) -> Object:
    """Abort a run in its second cycle or later; return the `startAt` that its message gives for one that takes it up."""
    system.apply(run_document("cut-short", "al2o3-demo", inputs={"cycles": CYCLES}))
    system.wait_for(
        "run",
        "cut-short",
        lambda o: o["status"]["iterations"].partition("/")[0] not in ("", "1"),
        within_s=30,
    )
    system.kubectl("patch", "run", "cut-short", "--type=merge", "-p", '{"spec":{"action":"Abort"}}')
    condition = system.ended("cut-short", within_s=30)
    assert (condition["status"], condition["reason"]) == ("False", "Aborted"), condition
    place = re.search(r"with startAt: (\{.*\})", condition["message"])
    assert place is not None, condition["message"]
    found: Object = yaml.safe_load(place[1])
    return found


def on_record(system: System, uid: str, steps: list[str], left: list[int]) -> None:
    """See that the history has these steps, and the pulses of the cycles that were left and of no other."""
    done = "SELECT 1 FROM process_executions WHERE id = %s AND end_time IS NOT NULL"
    eventually(lambda: bool(system.sql(done, uid)), within_s=60)
    rows = system.sql(
        "SELECT step_name, error FROM step_execution_history WHERE process_id = %s"
        " AND ended_at IS NOT NULL ORDER BY step_number",
        uid,
    )
    assert [name for name, _ in rows] == steps
    assert {error for _, error in rows} <= {"", None}
    pulses = system.sql(
        "SELECT iterations, target, final_status FROM recipe_execution_audit"
        " WHERE process_id = %s AND operation_type = 'valve' ORDER BY operation_initiated_at",
        uid,
    )
    expected = [([cycle], valve, "Confirmed") for cycle in left for valve in ("tma", "water")]
    assert pulses == expected
