"""What happened, on a real PostgreSQL: runs, steps, pulses, states, and what the parameters mean."""

import datetime
from typing import Any

import msgspec
import pytest

from ald.errors import RefusedError
from ald.plant.model import DataType, Point, Table, digest
from ald.records.event import (
    LinkChanged,
    MachineState,
    PulseDone,
    PulseOpening,
    RunOutcome,
    StateChanged,
    StepEnded,
    StepStarted,
    TimedBy,
    WriteOutcome,
    Written,
)
from ald.store.database import Endpoint
from ald.store.report import Wanted, read_report
from fixtures.history import FEED, query, store_all, value
from unit.store.feeds import MACHINE, PLANT, RUN, WALL, Feed, ended, started

pytestmark = pytest.mark.integration


def pulse(**changes):
    """Return a pulse of 40 ms whose closing was not acknowledged, told a second after the run's start."""
    values: dict[str, Any] = {
        "at_ns": 10**9,
        "wall_ns": WALL + 10**9,
        "run": RUN,
        "ordinal": 1,
        "path": "spec.steps[0]",
        "name": "tma",
        "iterations": (1, 2),
        "valve": "tma",
        "open_ns": 40_000_000,
        "due_ns": 900_000_000,
        "opened_sent_ns": 900_100_000,
        "opened_ack_ns": 902_000_000,
        "closed_sent_ns": 940_200_000,
        "closed_ack_ns": 0,
        "error_ns": 100_000,
        "uncertainty_ns": 10_000_000,
        "outcome": WriteOutcome.UNKNOWN,
    }
    return PulseDone(**values | changes)


def opening(ordinal):
    return PulseOpening(at_ns=0, wall_ns=WALL, run=RUN, ordinal=ordinal, valve="tma", due_ns=5)


async def test_a_run_leaves_its_recipe_program_steps_and_outcome(history, database):
    feed = Feed(FEED)
    feed.load(PLANT)
    feed.event(started())
    step = StepStarted(
        at_ns=0,
        wall_ns=WALL,
        run=RUN,
        ordinal=1,
        path="spec.steps[0]",
        name="tma",
        step="valve",
        iterations=(1, 2),
    )
    feed.event(step)
    feed.event(StepEnded(at_ns=0, wall_ns=WALL + 10**9, run=RUN, ordinal=1, error=""))
    feed.event(ended())
    await store_all(history, feed.batch())
    assert query(
        database,
        "SELECT name, status, outcome, pulses, recipe_version, program->>'recipe', end_time - start_time "
        "FROM process_executions",
    ) == [
        (
            "first",
            "completed",
            "Completed",
            2,
            {"steps": []},
            "recipe",
            datetime.timedelta(seconds=1),
        )
    ]
    assert query(
        database,
        "SELECT step_number, step_type, step_name, iterations, ended_at - started_at FROM step_execution_history",
    ) == [(1, "valve", "tma", [1, 2], datetime.timedelta(seconds=1))]
    assert query(
        database, "SELECT current_overall_step, current_step_name FROM process_execution_state"
    ) == [(1, "tma")]


async def test_of_a_run_that_lost_its_position_nothing_is_counted(history, database):
    feed = Feed(FEED)
    feed.load(PLANT)
    feed.event(started())
    lost = msgspec.structs.replace(ended(RunOutcome.GATEWAY_RESTARTED), exact=False)
    feed.event(lost)
    await store_all(history, feed.batch())
    assert query(
        database,
        "SELECT outcome, leaves_done, pulses, worst_error_ns, p99_error_ns, end_time IS NOT NULL FROM process_executions",
    ) == [("GatewayRestarted", None, None, None, None, True)]


async def test_the_first_end_of_a_run_counts(history, database):
    feed = Feed(FEED)
    feed.load(PLANT)
    feed.event(started())
    feed.event(ended())
    # Power was lost before the gateway had noted that the run was over.
    feed.event(msgspec.structs.replace(ended(RunOutcome.GATEWAY_RESTARTED), exact=False))
    await store_all(history, feed.batch())
    assert query(database, "SELECT outcome, leaves_done, pulses FROM process_executions") == [
        ("Completed", 3, 2)
    ]
    assert query(
        database,
        "SELECT body->>'outcome' FROM machine_events WHERE kind = 'run-ended' ORDER BY feed_position",
    ) == [("Completed",), ("GatewayRestarted",)]


async def test_every_pulse_is_one_row_with_its_times_and_one_that_never_ended_says_so(
    history, database
):
    feed = Feed(FEED)
    feed.event(started())
    feed.event(opening(1))
    feed.event(pulse())
    feed.event(opening(2))
    await store_all(history, feed.batch())
    assert query(
        database,
        "SELECT step_sequence, duration_ns, error_ns, plc_write_duration_ms, plc_close_end_time, final_status "
        "FROM recipe_execution_audit ORDER BY step_sequence",
    ) == [
        (1, 40_000_000, 100_000, pytest.approx(1.9), None, "Unknown"),
        (2, None, None, None, None, "Initiated"),
    ]
    ((due, sent),) = query(
        database,
        "SELECT operation_initiated_at, plc_write_start_time FROM recipe_execution_audit WHERE step_sequence = 1",
    )
    assert sent - due == datetime.timedelta(microseconds=100)
    assert due.timestamp() == pytest.approx(WALL / 1e9 + 0.9)


async def test_a_pulse_that_the_plc_timed_has_no_error_and_is_whole_all_the_same(history, database):
    feed = Feed(FEED)
    feed.event(started())
    by_plc = {"timed_by": TimedBy.PLC, "error_ns": 0, "closed_sent_ns": 0}
    feed.event(pulse(**by_plc, outcome=WriteOutcome.CONFIRMED, uncertainty_ns=2_000_000))
    feed.event(pulse(**by_plc, ordinal=2))
    feed.event(ended())
    await store_all(history, feed.batch())
    assert query(
        database,
        "SELECT timed_by, error_ns, final_status FROM recipe_execution_audit ORDER BY step_sequence",
    ) == [("plc", None, "Confirmed"), ("plc", None, "Unknown")]
    report = read_report(database, Wanted(name="first"), pulses=True)
    assert [(each.by_plc, each.whole, each.error_ns) for each in report.pulses] == [
        (True, True, None),
        (True, False, None),
    ]
    assert (report.widths.by_plc, report.widths.whole) == (1, 0)


async def test_a_write_outside_a_run_is_on_record_too(history, database):
    feed = Feed(FEED)
    feed.event(
        Written(
            at_ns=0,
            wall_ns=WALL,
            run="",
            ordinal=0,
            by="safe-state",
            target="valve.tma",
            value=0.0,
            sent_ns=1,
            ack_ns=2_000_001,
            outcome=WriteOutcome.CONFIRMED,
            error="",
        )
    )
    await store_all(history, feed.batch())
    assert query(
        database,
        "SELECT process_id, target, target_value, requested_by, plc_write_duration_ms FROM recipe_execution_audit "
        "WHERE operation_type = 'write'",
    ) == [(None, "valve.tma", 0.0, "safe-state", pytest.approx(2.0))]


async def test_the_machine_state_is_the_last_one_said(history, database):
    feed = Feed(FEED)
    feed.event(LinkChanged(at_ns=0, wall_ns=WALL, connected=True, message=""))
    for state, run in ((MachineState.IDLE, ""), (MachineState.EXECUTE, RUN)):
        feed.event(
            StateChanged(
                at_ns=0,
                wall_ns=WALL,
                state=state,
                previous=MachineState.STOPPED,
                reason="RunStarted",
                message="",
                run=run,
            )
        )
    await store_all(history, feed.batch())
    assert query(
        database, "SELECT current_state, process_id::text, plc_connected FROM machine_state"
    ) == [("Execute", RUN, True)]
    assert value(database, "SELECT count(*) FROM machine_events") == 3


async def test_samples_of_a_run_whose_start_is_lost_still_have_a_run(history, database):
    feed = Feed(FEED)
    feed.load(PLANT)
    feed.skip(5)
    feed.scan(run=RUN)
    feed.event(ended(RunOutcome.LINK_LOST))
    await store_all(history, feed.batch())
    assert query(database, "SELECT id::text, name, status FROM process_executions") == [
        (RUN, None, "failed")
    ]


async def test_what_people_wrote_of_a_parameter_or_a_valve_is_in_the_history_and_follows_the_plant(
    history, database
):
    heater, flow = PLANT.parameters
    first = msgspec.structs.replace(
        PLANT, parameters=(msgspec.structs.replace(heater, description="of the wall"), flow)
    )
    second = msgspec.structs.replace(
        first,
        parameters=(
            msgspec.structs.replace(
                heater, description="of the lid", minimum=5.0, maximum=90.0, writable=True
            ),
            flow,
        ),
        valves=(msgspec.structs.replace(PLANT.valves[0], number=4),),
    )
    said = "SELECT description, min_value, max_value, is_writable FROM component_parameters "
    feed = Feed(FEED)
    feed.load(first)
    await store_all(history, feed.batch())
    assert query(database, said + "ORDER BY id") == [
        ("of the wall", 0.0, 100.0, False),
        ("", 0.0, 100.0, False),
        ("valve number 1", None, None, False),
    ]
    feed.load(second)
    await store_all(history, feed.batch())
    assert query(database, said + "ORDER BY id") == [
        ("of the lid", 5.0, 90.0, True),
        ("", 0.0, 100.0, False),
        ("valve number 4", None, None, False),
    ]


async def test_a_bit_of_a_register_is_in_the_history_with_its_place_and_values(history, database):
    heater, flow = PLANT.parameters
    point = Point(table=Table.INPUT, address=9, type=DataType.BOOL, bit=15)
    bit = msgspec.structs.replace(
        flow, name="chamber.ready", point=point, scale=1.0, offset=0.0, minimum=None, maximum=None
    )
    feed = Feed(FEED)
    plant = msgspec.structs.replace(PLANT, parameters=(heater, bit))
    feed.load(plant)
    feed.scan(values=(20.0, 1.0, 0.0), plant_digest=digest(plant))
    await store_all(history, feed.batch())
    said = "SELECT data_type, modbus_table, modbus_address, modbus_bit FROM component_parameters "
    assert query(database, said + "WHERE name = 'chamber.ready'") == [("bool", "input", 9, 15)]
    assert query(database, said + "WHERE name = 'valve.tma'")[0][3] is None
    values = "SELECT value FROM parameter_value_history JOIN component_parameters p ON p.id = parameter_id "
    assert query(database, values + "WHERE p.name = 'chamber.ready'") == [(1.0,)]


async def test_a_parameter_gets_a_new_id_when_its_meaning_changes_and_only_then(history, database):
    renamed = msgspec.structs.replace(
        PLANT,
        parameters=(
            msgspec.structs.replace(PLANT.parameters[0], description="new words"),
            *PLANT.parameters[1:],
        ),
    )
    rescaled = msgspec.structs.replace(
        PLANT,
        parameters=(msgspec.structs.replace(PLANT.parameters[0], scale=0.1), *PLANT.parameters[1:]),
    )
    feed = Feed(FEED)
    for plant in (PLANT, renamed, rescaled, PLANT):
        feed.load(plant)
        feed.scan(plant_digest=digest(plant))
    await store_all(history, feed.batch())
    found = query(
        database,
        "SELECT h.feed_position, h.parameter_id FROM parameter_value_history h "
        "JOIN component_parameters p ON p.id = h.parameter_id WHERE p.name = 'heater.temperature-read' ORDER BY 1",
    )
    first, second, third, fourth = (number for _, number in found)
    assert first == second
    assert len({second, third, fourth}) == 3
    assert query(
        database,
        "SELECT count(*), count(valid_to) FROM component_parameters WHERE name = 'heater.temperature-read'",
    ) == [(3, 2)]
    assert (
        value(
            database,
            "SELECT count(*) FROM component_parameters WHERE name <> 'heater.temperature-read'",
        )
        == 2
    )


async def test_the_plant_of_an_earlier_batch_is_found_again_after_a_restart(history, database):
    feed = Feed(FEED)
    feed.load(PLANT)
    await store_all(history, feed.batch())
    feed.scan()
    (stored,) = await store_all(history, feed.batch())
    assert (stored.samples, stored.rejected) == (3, 0)


async def test_a_feed_belongs_to_one_machine(history):
    await history.open_feed(MACHINE, FEED)
    other = msgspec.structs.replace(MACHINE, name="other")
    with pytest.raises(RefusedError, match="lab/other"):
        await history.open_feed(other, FEED)


async def test_a_machine_keeps_its_history_under_a_new_uid_and_a_new_feed(history, database):
    second = msgspec.structs.replace(PLANT, identity=msgspec.structs.replace(MACHINE, uid="second"))
    for name, plant in ((FEED, PLANT), ("feed-2", second)):
        feed = Feed(name)
        feed.load(plant)
        await store_all(history, feed.batch())
    assert value(database, "SELECT count(*) FROM machines") == 1
    assert query(database, "SELECT uid FROM machine_uids ORDER BY uid") == [("second",), ("uid-1",)]
    assert (await history.latest_feed(MACHINE)).feed == "feed-2"


async def test_gateways_are_remembered(history):
    known = [
        Endpoint(namespace="lab", name="a", url="https://a"),
        Endpoint(namespace="lab", name="b", url="https://b"),
    ]
    await history.remember("here", known)
    await history.remember("elsewhere", [])
    assert await history.endpoints("here") == known
    await history.remember("here", known[:1])
    assert await history.endpoints("here") == known[:1]
