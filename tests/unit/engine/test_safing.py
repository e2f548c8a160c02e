"""The safe state: fewest writes, valves first."""

from msgspec.structs import replace

from ald.engine.effects import Coils, Lane, Write
from ald.engine.layout import layout_of
from ald.engine.safing import plan_valves
from ald.plant.model import SafeAction, SafeOutput, SafeState, SafeValve, Valve
from ald.records.event import SafeStateReached, Written
from unit.engine.programs import MS, PLANT, S, wait
from unit.engine.world import World


def with_valves(*entries):
    """A plant of valves (name, coil, safe action)."""
    return replace(
        PLANT,
        valves=tuple(
            Valve(name=n, number=i, coil=c, max_open_ns=S) for i, (n, c, _) in enumerate(entries)
        ),
        groups=(),
        unrestricted_valves=tuple(n for n, _, _ in entries),
        safe_state=SafeState(
            valves=tuple(SafeValve(valve=n, action=a) for n, _, a in entries), outputs=()
        ),
    )


def planned(plant, opened=frozenset()):
    return [(p.target.address, p.target.bits) for p in plan_valves(layout_of(plant), opened)]


CLOSED, OPEN, KEEP = SafeAction.CLOSED, SafeAction.OPEN, SafeAction.KEEP


def test_neighbours_share_a_write_in_the_order_of_their_coils():
    plant = with_valves(("c", 7, CLOSED), ("a", 5, CLOSED), ("b", 6, OPEN), ("d", 20, CLOSED))
    assert planned(plant) == [(5, (False, True, False)), (20, (False,))]


def test_a_valve_that_is_kept_is_never_part_of_a_write():
    plant = with_valves(("a", 5, CLOSED), ("b", 6, KEEP), ("c", 7, CLOSED))
    assert planned(plant) == [(5, (False,)), (7, (False,))]


def test_a_kept_valve_that_a_pulse_has_open_is_shut_all_the_same():
    plant = with_valves(("a", 5, CLOSED), ("b", 6, KEEP))
    assert planned(plant, frozenset({"b"})) == [(5, (False, False))]


def test_outputs_come_after_the_valves_in_the_order_of_the_machine():
    world = World().ready().start(wait(1000))
    world.log.clear()
    world.abort(uid="")
    targets = [e.target for e in world.log if isinstance(e, Write) and e.lane is Lane.SAFE]
    assert targets[0] == Coils(address=8, bits=(False, False, False))
    assert targets[1] == Coils(address=0, bits=(False,))
    assert len(targets) == 3


def test_times_and_every_write_of_it_are_on_record():
    world = World(round_trip_ns=4 * MS).ready().start(wait(1000))
    world.journal.clear()
    world.abort(uid="")
    world.run_for(100 * MS)
    (reached,) = world.events(SafeStateReached)
    assert reached.valves_ns == 4 * MS
    assert reached.total_ns == 12 * MS
    assert [w.target for w in world.events(Written)] == [
        "valve.tma",
        "valve.water",
        "valve.spare",
        "heater.power",
        "mfc.setpoint",
    ]


def test_a_safe_state_of_nothing_but_keeping_is_confirmed_without_a_write():
    plant = with_valves(("a", 5, KEEP))
    world = World(plant).ready()
    assert world.machine == "Idle"
    assert world.state.safe_confirmed
    assert not [e for e in world.log if isinstance(e, Write)]


def test_an_output_that_cannot_be_written_does_not_keep_the_others_from_being_safe():
    outputs = (
        SafeOutput(parameter="heater.setpoint", value=9999.0),
        SafeOutput(gas="N2", value=20.0),
    )
    plant = replace(PLANT, safe_state=replace(PLANT.safe_state, outputs=outputs))
    world = World(plant).ready()
    world.abort(uid="")
    world.run_for(100 * MS)
    assert world.value("mfc.setpoint") == 20.0
