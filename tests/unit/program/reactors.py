"""A small reactor and recipes on it, as documents that tests change before they compile them."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from ald.api.parse import parse_machine, parse_recipe
from ald.plant.model import Identity, Plant, digest
from ald.program.compile.machine import compile_machine
from ald.program.compile.recipe import RecipeSource, compile_recipe
from ald.program.model import Program

Document = dict[str, Any]

MS = 1_000_000
SECOND = 1_000_000_000
IDENTITY = Identity(installation="lab", namespace="ald", name="reactor", uid="u-1")
SOURCE = RecipeSource(name="recipe", uid="r-1", generation=3)

_MACHINE = """
apiVersion: ald.dev/v1alpha1
kind: Machine
metadata: {name: reactor}
spec:
  plc: {host: plc, cycle: 2ms, sharedRegisters: true, sharedBits: true}
  mode: Control
  parameters:
    - {name: chamber.temperature, table: input, address: 100, type: float32, order: CDAB, unit: °C}
    - {name: chamber.setpoint, table: holding, address: 102, type: float32, order: CDAB, unit: °C,
       minimum: 0, maximum: 400, writable: true}
    - {name: heater.power, table: coil, address: 1, type: bool, writable: true}
    - {name: pump.speed, table: holding, address: 110, type: uint16, unit: rpm, minimum: 0, maximum: 1000,
       writable: true, scale: 0.5}
    - {name: mfc-1.flow-set, table: holding, address: 120, type: float32, unit: sccm, minimum: 0, maximum: 100,
       writable: true}
    - {name: mfc-1.flow-read, table: input, address: 122, type: float32, unit: sccm}
    - {name: mfc-2.flow-set, table: holding, address: 124, type: float32, unit: sccm, minimum: 0, maximum: 100,
       writable: true}
  valves:
    - {name: tma, number: 1, coil: 15, maximumOpen: 5s}
    - {name: water, number: 2, coil: 16, maximumOpen: 5s}
    - {name: ozone, number: 3, coil: 17, maximumOpen: 1s}
    - {name: vent, number: 4, coil: 18, maximumOpen: 1m}
  gases:
    - {name: N2, setpoint: mfc-1.flow-set, feedback: mfc-1.flow-read}
    - {name: Ar, setpoint: mfc-2.flow-set}
  exclusionGroups:
    - {name: precursors, valves: [tma, water, ozone], purgeGases: [N2],
       minimumPurge: {duration: 250ms, flow: 15}}
  unrestrictedValves: [vent]
  safeState:
    valves:
      - {valve: tma, state: Closed}
      - {valve: water, state: Closed}
      - {valve: ozone, state: Closed}
      - {valve: vent, state: Keep}
    outputs:
      - {parameter: heater.power, value: 0}
      - {gas: N2, value: 20}
      - {parameter: pump.speed, keep: true}
  heartbeat: {address: 200, period: 500ms, timeout: 2s}
"""

CLEAR: Document = {"name": "clear", "purge": {"gas": "N2", "flow": 20, "duration": "1s"}}


def machine() -> Document:
    """Return a fresh document of the reactor."""
    document: Document = yaml.safe_load(_MACHINE)
    return document


def with_timer(document: Document) -> Document:
    """Return the document with a timer for tma: width in holding 300 and 301, trigger at coil 40, done at discrete 12."""
    document["spec"]["valves"][0]["timedPulse"] = {
        "duration": {"address": 300, "type": "uint32", "order": "CDAB", "resolution": "0.5ms"},
        "trigger": 40,
        "done": {"table": "discrete", "address": 12},
    }
    return document


def plant_of(document: Document) -> Plant:
    """Compile a document as the operator does."""
    return compile_machine(parse_machine(document).spec, IDENTITY, 7)


PLANT = plant_of(machine())
DIGEST = digest(PLANT)


def recipe(
    steps: Sequence[Mapping[str, object]],
    *,
    inputs: Sequence[Mapping[str, object]] = (),
    cleanup: Sequence[Mapping[str, object]] = (),
) -> Document:
    """Return a document of a recipe; its parts are copied."""
    spec = {"steps": list(steps), "inputs": list(inputs), "cleanup": list(cleanup)}
    return {
        "apiVersion": "ald.dev/v1alpha1",
        "kind": "Recipe",
        "metadata": {"name": "recipe"},
        "spec": copy.deepcopy(spec),
    }


def program_of(document: Document, given: Document | None = None, plant: Plant = PLANT) -> Program:
    """Compile a document against a plant as the operator does."""
    spec = parse_recipe(document).spec
    return compile_recipe(spec, SOURCE, plant, digest(plant), given or {})
