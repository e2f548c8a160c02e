"""Attempts to write what belongs to a valve, a gas or the heartbeat by another name, table, word or kind of entry: all refused."""

import pytest

from ald.errors import InvalidInputError
from unit.program.reactors import CLEAR, PLANT, machine, plant_of, program_of, recipe, with_timer

WRITABLE = {"name": "sly.value", "writable": True, "minimum": 0, "maximum": 1}
# In the reactor: coil 15 is tma's, holding 120 and 121 are the set point of N2, holding 200 is the heartbeat.
TAKEN = {
    "the coil of a valve": {"table": "coil", "address": 15, "type": "bool"},
    "the coil of the last valve": {"table": "coil", "address": 18, "type": "bool"},
    "the set point of a gas": {"table": "holding", "address": 120, "type": "float32"},
    "its first word": {"table": "holding", "address": 120, "type": "uint16"},
    "its second word": {"table": "holding", "address": 121, "type": "uint16"},
    "a longer value that ends in it": {"table": "holding", "address": 119, "type": "float32"},
    "a longer value that begins in it": {"table": "holding", "address": 121, "type": "float32"},
    "a value that holds it whole": {"table": "holding", "address": 118, "type": "float64"},
    "one bit of it": {"table": "holding", "address": 121, "type": "bool", "bit": 3},
    "one bit of the heartbeat": {"table": "holding", "address": 200, "type": "bool", "bit": 15},
    "the register of the heartbeat": {"table": "holding", "address": 200, "type": "uint16"},
    "a value that ends in the heartbeat": {"table": "holding", "address": 199, "type": "float32"},
    "a value that begins in the heartbeat": {"table": "holding", "address": 200, "type": "float32"},
    "a value around the heartbeat": {"table": "holding", "address": 198, "type": "float64"},
}
ALIASES = (None, "mfc-1.flow-set", "heater.power", "sly.value", "nothing")


def refusals(document):
    with pytest.raises(InvalidInputError) as caught:
        plant_of(document)
    return {violation.path for violation in caught.value.violations}


def with_parameters(*parameters):
    document = machine()
    document["spec"]["parameters"] += parameters
    return document


@pytest.mark.parametrize("alias", ALIASES)
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("taken", TAKEN)
def test_no_parameter_that_may_be_written_lies_on_what_belongs_to_somebody(taken, shared, alias):
    sly = WRITABLE | TAKEN[taken] | ({"aliasOf": alias} if alias else {})
    document = with_parameters(sly)
    document["spec"]["plc"] |= {"sharedRegisters": shared, "sharedBits": shared}
    assert any(path.startswith("spec.parameters[7]") for path in refusals(document))


@pytest.mark.parametrize("table", ["input", "discrete"])
def test_what_can_only_be_read_is_not_writable_by_sharing_its_memory(table):
    address = 120 if table == "input" else 15
    kind = "float32" if table == "input" else "bool"
    assert refusals(with_parameters(WRITABLE | {"table": table, "address": address, "type": kind}))


def test_two_that_share_a_word_are_refused_even_through_a_twin_of_a_twin():
    first = {"name": "twin.a", "table": "holding", "address": 120, "type": "float32"}
    second = WRITABLE | {"table": "holding", "address": 121, "type": "uint16", "aliasOf": "twin.a"}
    assert refusals(with_parameters(first | {"aliasOf": "mfc-1.flow-set"}, second))


TWINS = {
    "of a valve's coil": {"table": "coil", "address": 15, "type": "bool"},
    "of a valve's coil, read as an input": {"table": "discrete", "address": 15, "type": "bool"},
    "of a gas's set point": {
        "table": "holding", "address": 120, "type": "float32", "aliasOf": "mfc-1.flow-set",
    },
    "of a gas's set point, read as an input": {
        "table": "input", "address": 120, "type": "float32", "aliasOf": "mfc-1.flow-set",
    },
}  # fmt: skip


@pytest.mark.parametrize("twin", TWINS)
def test_no_recipe_writes_a_twin(twin):
    plant = plant_of(with_parameters({"name": "twin.value"} | TWINS[twin]))
    for step in (
        {"set": {"parameter": "twin.value", "value": 1}},
        {"ramp": {"parameter": "twin.value", "to": 1, "rate": "1 /s"}},
    ):
        for where in ("steps", "cleanup"):
            sly = {"name": "sly", **step}
            document = recipe([CLEAR, sly]) if where == "steps" else recipe([CLEAR], cleanup=[sly])
            with pytest.raises(InvalidInputError) as caught:
                program_of(document, plant=plant)
            assert any(where in violation.path for violation in caught.value.violations)


@pytest.mark.parametrize("twin", TWINS)
def test_no_safe_state_writes_a_twin(twin):
    document = with_parameters({"name": "twin.value"} | TWINS[twin])
    document["spec"]["safeState"]["outputs"].append({"parameter": "twin.value", "value": 1})
    assert any(path.startswith("spec.safeState.outputs[3]") for path in refusals(document))


def test_a_gas_is_written_by_its_own_name_only():
    with pytest.raises(InvalidInputError, match="belongs to gas N2"):
        program_of(recipe([{"name": "s", "set": {"parameter": "mfc-1.flow-set", "value": 1}}]))
    document = machine()
    document["spec"]["safeState"]["outputs"][1] = {"parameter": "mfc-1.flow-set", "value": 1}
    assert "spec.safeState.outputs[1].parameter" in refusals(document)


def test_two_gases_do_not_share_a_set_point():
    document = machine()
    document["spec"]["gases"][1]["setpoint"] = "mfc-1.flow-set"
    assert "spec.gases[1].setpoint" in refusals(document)


def test_two_valves_do_not_share_a_coil_whatever_their_names_are():
    document = machine()
    document["spec"]["valves"][3]["coil"] = 15
    assert refusals(document)


def test_the_reactor_as_it_is_declared_is_accepted_so_that_each_refusal_is_for_what_was_added():
    assert plant_of(machine()) == PLANT


TIMERS = {
    "the trigger": {"table": "coil", "address": 40, "type": "bool"},
    "the done bit, as a coil": {"table": "coil", "address": 12, "type": "bool"},
    "the width": {"table": "holding", "address": 300, "type": "uint32"},
    "its first word": {"table": "holding", "address": 300, "type": "uint16"},
    "its second word": {"table": "holding", "address": 301, "type": "int16"},
    "a value that ends in it": {"table": "holding", "address": 299, "type": "float32"},
    "a value that begins in it": {"table": "holding", "address": 301, "type": "float32"},
    "a value around it": {"table": "holding", "address": 299, "type": "float64"},
    "one bit of it": {"table": "holding", "address": 301, "type": "bool", "bit": 0},
}


def timer_with(**parameter):
    document = with_timer(with_parameters(parameter))
    document["spec"]["parameters"][-1].setdefault("name", "sly.value")
    return document


@pytest.mark.parametrize("alias", ALIASES)
@pytest.mark.parametrize("taken", TIMERS)
def test_no_parameter_that_may_be_written_lies_on_a_timer(taken, alias):
    sly = WRITABLE | TIMERS[taken] | ({"aliasOf": alias} if alias else {})
    assert any(path.startswith("spec.parameters[7]") for path in refusals(timer_with(**sly)))


@pytest.mark.parametrize("twin", [name for name in TIMERS if "bit" not in TIMERS[name]])
def test_no_recipe_and_no_safe_state_writes_what_reads_a_timer(twin):
    document = timer_with(**TIMERS[twin])
    plant = plant_of(document)
    sly = {"name": "sly", "set": {"parameter": "sly.value", "value": 1}}
    with pytest.raises(InvalidInputError):
        program_of(recipe([CLEAR, sly]), plant=plant)
    document["spec"]["safeState"]["outputs"].append({"parameter": "sly.value", "value": 1})
    assert any(path.startswith("spec.safeState.outputs[3]") for path in refusals(document))


@pytest.mark.parametrize(
    ("where", "value"),
    [
        ("trigger", 15),  # the coil of tma itself
        ("trigger", 18),  # the coil of another valve
        ("trigger", 12),  # its own done bit
        ("trigger", 1),  # a parameter that is written
        ("done.address", 16),
        ("duration.address", 199),  # ends in the heartbeat
        ("duration.address", 120),  # the set point of a gas
        ("duration.address", 65535),
    ],
)
def test_a_timer_lies_on_nothing_that_belongs_to_somebody(where, value):
    document = with_timer(machine())
    timer = document["spec"]["valves"][0]["timedPulse"]
    *above, last = where.split(".")
    (timer[above[0]] if above else timer)[last] = value
    assert refusals(document)


def test_two_valves_do_not_share_a_timer():
    document = with_timer(machine())
    document["spec"]["valves"][1]["timedPulse"] = document["spec"]["valves"][0]["timedPulse"]
    assert {path for path in refusals(document) if path.startswith("spec.valves[1].timedPulse")}


def test_a_timer_lies_where_the_plc_lets_it_be_read():
    document = with_timer(machine())
    ranges = [
        {"table": "holding", "first": 100, "last": 300},
        {"table": "coil", "first": 1, "last": 39},
    ]
    document["spec"]["plc"]["readable"] = ranges
    paths = refusals(document)
    assert {f"spec.valves[0].timedPulse.{at}" for at in ("duration.address", "trigger")} <= paths


def test_a_timer_that_is_declared_is_that_of_the_plant():
    (timed,) = [valve.timed for valve in plant_of(with_timer(machine())).valves if valve.timed]
    assert (timed.duration.address, timed.duration.type.value) == (300, "uint32")
    assert (timed.duration.order.value, timed.resolution_ns) == ("CDAB", 500_000)
    assert (timed.trigger, timed.done.table.value, timed.done.address) == (40, "discrete", 12)
