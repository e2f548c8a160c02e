import pytest

from ald.errors import InvalidInputError
from ald.plant.model import SafeAction
from unit.program.reactors import machine, plant_of


def refused(change):
    """Compile the reactor with its spec changed by a function, and return the violations by path."""
    document = machine()
    change(document["spec"])
    with pytest.raises(InvalidInputError) as caught:
        plant_of(document)
    return {v.path.removeprefix("spec."): v for v in caught.value.violations}


def put(path, value):
    """Return a change that sets one field, such as `valves.0.coil`."""

    def change(spec):
        *outer, last = [int(part) if part.isdigit() else part for part in path.split(".")]
        for part in outer:
            spec = spec[part]
        spec[last] = value

    return change


@pytest.mark.parametrize(
    ("change", "path", "rule"),
    [
        (put("valves.1.name", "tma"), "valves[1].name", "is there twice"),
        (put("valves.1.number", 1), "valves[1].number", "is there twice"),
        (put("unrestrictedValves", []), "valves[3]", "valve vent is in no exclusion group"),
        (put("unrestrictedValves", ["vent", "tma"]), "unrestrictedValves[1]", "group and unrestricted"),
        (put("unrestrictedValves", ["vent", "vant"]), "unrestrictedValves[1]", "no valve of this name"),
        (put("unrestrictedValves", ["vent", "vent"]), "unrestrictedValves[1]", "listed twice"),
        (put("gases.1.name", "N2"), "gases[1].name", "is there twice"),
        (put("gases.1.setpoint", "mfc-1.flow-set"), "gases[1].setpoint", "is there twice"),
        (put("gases.0.setpoint", "mfc-1.flow"), "gases[0].setpoint", "no parameter of this name"),
        (put("gases.1.setpoint", "mfc-1.flow-read"), "gases[1].setpoint", "writable parameter of table holding"),
        (put("gases.1.setpoint", "heater.power"), "gases[1].setpoint", "writable parameter of table holding"),
        (put("gases.0.feedback", "mfc.flow-read"), "gases[0].feedback", "no parameter of this name"),
        (put("gases.0.feedback", "mfc-1.flow-set"), "gases[0].feedback", "no evidence of its own flow"),
        (put("gases.0.feedback", "heater.power"), "gases[0].feedback", "a flow is no bool"),
        (put("gases.0.feedback", "chamber.temperature"), "gases[0].feedback", "feedback is in °C, set point in sccm"),
        (put("exclusionGroups.0.valves", ["tma", "water", "ozone", "x"]), "exclusionGroups[0].valves[3]", "no valve"),
        (put("exclusionGroups.0.valves", ["tma", "water", "ozone", "tma"]), "exclusionGroups[0].valves[3]", "twice"),
        (put("exclusionGroups.0.purgeGases", ["N3"]), "exclusionGroups[0].purgeGases[0]", "no gas of this name"),
        (put("exclusionGroups.0.minimumPurge.flow", 101), "exclusionGroups[0].minimumPurge.flow", "at most 100 sccm"),
        (put("safeState.valves.3.valve", "vant"), "safeState.valves[3].valve", "no valve of this name"),
        (put("safeState.valves.3.valve", "tma"), "safeState.valves", "valve vent has no safe state"),
        (put("safeState.valves.3.valve", "tma"), "safeState.valves[3].valve", "is there twice"),
        (put("safeState.valves.0.state", "Open"), "safeState.valves[0].state", "group precursors would be broken"),
        (put("safeState.outputs.0.parameter", "heater.on"), "safeState.outputs[0].parameter", "no parameter"),
        (put("safeState.outputs.0.parameter", "chamber.temperature"), "safeState.outputs[0]", "is not writable"),
        (put("safeState.outputs.0.parameter", "mfc-1.flow-set"), "safeState.outputs[0].parameter", "belongs to gas N2"),
        (put("safeState.outputs.0.parameter", "pump.speed"), "safeState.outputs[2]", "two entries"),
        (put("safeState.outputs.1.gas", "He"), "safeState.outputs[1].gas", "no gas of this name"),
        (put("safeState.outputs.1.value", 101), "safeState.outputs[1].value", "takes 0 to 100 sccm"),
        (put("safeState.outputs.0.value", 0.5), "safeState.outputs[0].value", "is a switch: 0 or 1"),
    ],
)  # fmt: skip
def test_what_would_not_protect_the_machine_is_refused(change, path, rule):
    assert rule in refused(change)[path].rule


def test_an_unknown_name_comes_with_the_nearest_known_one():
    found = refused(put("unrestrictedValves", ["vant"]))["unrestrictedValves[0]"]
    assert found.hint == "did you mean vent?"


def test_two_groups_of_one_name_are_refused():
    def change(spec):
        spec["exclusionGroups"].append(spec["exclusionGroups"][0])

    assert "exclusionGroups[1].name" in refused(change)


def test_the_purge_gases_of_a_group_share_their_unit():
    def change(spec):
        spec["parameters"][6]["unit"] = "slm"
        spec["exclusionGroups"][0]["purgeGases"] = ["N2", "Ar"]

    assert "sccm, slm" in refused(change)["exclusionGroups[0].purgeGases"].rule


def test_a_valve_may_be_in_several_groups():
    document = machine()
    first = document["spec"]["exclusionGroups"][0]
    document["spec"]["exclusionGroups"].append({**first, "name": "hot", "valves": ["tma", "ozone"]})
    assert [group.valves for group in plant_of(document).groups][1] == ("tma", "ozone")


@pytest.mark.parametrize(
    ("table", "feedback"),
    [("holding", "mfc-1.flow-twin"), ("input", "mfc-1.flow-twin"), ("input", "mfc-2.flow-set")],
)
def test_what_is_asked_of_a_gas_is_no_evidence_of_a_flow_by_whichever_name(table, feedback):
    """A purge would count by what was written, whether gas flows or not."""

    def change(spec):
        twin = {"table": table, "address": 120, "type": "float32", "unit": "sccm"}
        twin |= {"name": "mfc-1.flow-twin", "aliasOf": "mfc-1.flow-set"}
        spec["parameters"].append(twin)
        spec["gases"][0]["feedback"] = feedback

    assert "a set point is no evidence" in refused(change)["gases[0].feedback"].rule


def test_a_gas_without_feedback_is_accepted():
    assert plant_of(machine()).gases[1].feedback is None


@pytest.mark.parametrize("group", [[], ["vent"]])
def test_a_valve_without_others_in_its_group_may_be_open_in_the_safe_state(group):
    document = machine()
    spec = document["spec"]
    spec["safeState"]["valves"][3]["state"] = "Open"
    if group:
        spec["unrestrictedValves"] = []
        spec["exclusionGroups"].append(
            {**spec["exclusionGroups"][0], "name": "alone", "valves": group}
        )
    assert plant_of(document).safe_state.valves[3].action is SafeAction.OPEN


def test_whoever_opens_a_valve_beside_others_is_told_which_others():
    found = refused(put("safeState.valves.1.state", "Open"))["safeState.valves[1].state"]
    assert "ozone or tma" in found.rule
    assert "Closed or Keep" in found.hint
