"""The resource Recipe: what to do, as a process engineer writes it."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field
from typing_extensions import override

from ald.api.fields import (
    Duration,
    GasName,
    Groups,
    InputName,
    Integer,
    Message,
    Model,
    Name,
    Number,
    ObjectName,
    ParameterName,
    Quantity,
    Scalar,
    Text,
    Unit,
    Within,
)
from ald.api.meta import Condition, Metadata
from ald.units import RELATIVE_ERROR_MAX, RELATIVE_ERROR_MIN

LOOP_DEPTH_MAX = 4
"""Loops nest at most this deep; the schema is unrolled as often."""

STEPS_MAX = 200
"""Steps in one list."""

CLEANUP_MAX = 50
"""Steps in `cleanup`."""

LOOP_COUNT_MAX = 1_000_000

BRANCHES_MAX = 8
"""Branches of one `together`."""

BRANCH_STEPS_MAX = 50
"""Steps in one branch."""

InputType = Literal["number", "integer", "duration", "boolean"]
StepKind = Literal["set", "ramp", "waitFor", "purge", "wait", "valve", "prompt", "loop", "together"]
_TARGET = ("parameter", "gas")


class Input(Model):
    """A quantity that each run may choose."""

    name: InputName = Field(description="Name of the input, used by countFrom, openFrom and so on.")
    type: InputType = Field(description="number, integer, duration (written like 40ms) or boolean.")
    default: Scalar | None = Field(
        None,
        description="Used when a run does not say otherwise. Without it the run must give a value.",
    )
    minimum: Scalar | None = Field(None, description="Smallest value allowed.")
    maximum: Scalar | None = Field(None, description="Largest value allowed.")
    unit: Unit = Field("", description="Unit of the value, for people.")
    description: Text = Field("", description="What the input means, for people.")


class SetStep(Model):
    """Write one value."""

    exactly_one: ClassVar[Groups] = (_TARGET, ("value", "value_from"))

    parameter: ParameterName | None = Field(None, description="Parameter to write.")
    gas: GasName | None = Field(None, description="Gas whose flow is set.")
    value: Quantity | None = Field(None, description="Value in the unit declared by the machine.")
    value_from: InputName | None = Field(None, description="Input that gives the value.")
    unit: Unit | None = Field(None, description="Must equal the unit declared by the machine.")


class RampStep(Model):
    """Move a set point steadily."""

    exactly_one: ClassVar[Groups] = (_TARGET, ("to", "to_from"))

    parameter: ParameterName | None = Field(None, description="Parameter to move.")
    gas: GasName | None = Field(None, description="Gas whose flow is moved.")
    to: Number | None = Field(None, description="Where to, in the unit declared by the machine.")
    to_from: InputName | None = Field(None, description="Input that gives where to.")
    rate: str = Field(
        pattern=r"^[0-9]+(\.[0-9]+)?.*/(s|min|h)$",
        max_length=40,
        description="How fast: the declared unit per s, min or h, such as 10 °C/min.",
    )
    unit: Unit | None = Field(None, description="Must equal the unit declared by the machine.")


class WaitForStep(Model):
    """Wait until a condition has been true for a while."""

    condition: str = Field(
        min_length=1,
        max_length=1000,
        description="CEL with value('p'), setpoint('p'), quality('p') and age('p'), such as"
        " value('chamber-heater.temperature-read') > 198.0.",
    )
    stable_for: Duration = Field("0s", description="How long the condition must stay true.")
    timeout: Duration = Field(description="The step fails when it takes longer than this.")


class PurgeStep(Model):
    """Let a gas flow for a while, then give its set point back the value it had before."""

    exactly_one: ClassVar[Groups] = (("flow", "flow_from"), ("duration", "duration_from"))

    gas: GasName = Field(description="Gas to purge with.")
    flow: Annotated[float, Field(ge=0)] | None = Field(
        None, description="Flow in the unit of the gas.", strict=True, allow_inf_nan=False
    )
    flow_from: InputName | None = Field(None, description="Input that gives the flow.")
    duration: Duration | None = Field(None, description="How long, such as 5s.")
    duration_from: InputName | None = Field(None, description="Input that gives how long.")
    unit: Unit | None = Field(None, description="Must equal the unit of the gas.")


class WaitStep(Model):
    """Let time pass."""

    exactly_one: ClassVar[Groups] = (("duration", "duration_from"),)

    duration: Duration | None = Field(None, description="How long, such as 1s.")
    duration_from: InputName | None = Field(None, description="Input that gives how long.")


class ValveStep(Model):
    """Open one valve for a time."""

    exactly_one: ClassVar[Groups] = (("open", "open_from"),)

    valve: Name = Field(description="Valve to open.")
    open: Duration | None = Field(None, description="How long, such as 40ms.")
    open_from: InputName | None = Field(None, description="Input that gives how long.")


class PromptStep(Model):
    """Hold until somebody confirms."""

    message: Text = Field(min_length=1, description="What is asked of the person.")
    timeout: Duration = Field("1h", description="The step fails when nobody confirms within this.")


class LeafStep(Model):
    """One step of a branch: a name and exactly one kind that holds no other steps."""

    exactly_one: ClassVar[Groups] = (
        ("set", "ramp", "wait_for", "purge", "wait", "valve", "prompt"),
    )

    name: Name = Field(description="Name of the step, unique in its list.")
    set: SetStep | None = Field(
        None, description="Write a parameter or the flow of a gas: {gas: N2, value: 20}."
    )
    ramp: RampStep | None = Field(
        None,
        description="Move a set point steadily: {parameter: heater.temperature-set, to: 200, rate: 10 °C/min}.",
    )
    wait_for: WaitForStep | None = Field(
        None,
        description="Wait for a condition: {condition: \"value('gauge.pressure') < 50.0\", timeout: 10m}.",
    )
    purge: PurgeStep | None = Field(
        None, description="Let a gas flow for a while: {gas: N2, flow: 20, duration: 5s}."
    )
    wait: WaitStep | None = Field(None, description="Let time pass: {duration: 1s}.")
    valve: ValveStep | None = Field(
        None, description="Open a valve for a time: {valve: tma, open: 40ms}."
    )
    prompt: PromptStep | None = Field(
        None,
        description="Hold until somebody confirms: {message: 'crucible in place?', timeout: 30m}.",
    )

    @property
    def kind(self) -> StepKind:
        """The one kind that is there, as written in YAML."""
        return next(kind for kind, body in self._kinds() if body is not None)

    def _kinds(self) -> tuple[tuple[StepKind, Model | None], ...]:
        return (
            ("set", self.set),
            ("ramp", self.ramp),
            ("waitFor", self.wait_for),
            ("purge", self.purge),
            ("wait", self.wait),
            ("valve", self.valve),
            ("prompt", self.prompt),
        )


class Branch(Model):
    """Steps one after another, beside those of the other branches."""

    name: Name = Field(description="Name of the branch, unique in its step.")
    steps: tuple[LeafStep, ...] = Field(
        min_length=1,
        max_length=BRANCH_STEPS_MAX,
        description="The steps of this branch, in order; no loop and no together.",
    )


class TogetherStep(Model):
    """Run branches side by side, and go on when all of them are done."""

    branches: tuple[Branch, ...] = Field(
        min_length=2,
        max_length=BRANCHES_MAX,
        description="What runs side by side. A valve, an exclusion group, a gas and a parameter belong to one branch only.",
    )


class LoopStep(Model):
    """Repeat steps."""

    exactly_one: ClassVar[Groups] = (("count", "count_from"),)

    count: Annotated[int, Field(ge=1, le=LOOP_COUNT_MAX)] | None = Field(
        None, description="How many times, at least 1.", strict=True
    )
    count_from: InputName | None = Field(None, description="Input that gives how many times.")
    steps: tuple[Step, ...] = Field(
        min_length=1, max_length=STEPS_MAX, description="The steps to repeat, in order."
    )


class Step(LeafStep):
    """One step: a name and exactly one kind."""

    exactly_one: ClassVar[Groups] = (
        ("set", "ramp", "wait_for", "purge", "wait", "valve", "prompt", "loop", "together"),
    )

    loop: LoopStep | None = Field(
        None, description="Repeat steps, four deep at most: {count: 100, steps: [...]}."
    )
    together: TogetherStep | None = Field(
        None,
        description="Run branches side by side until all are done: {branches: [{name: heat, steps: [...]}, ...]}.",
    )

    @override
    def _kinds(self) -> tuple[tuple[StepKind, Model | None], ...]:
        return (*super()._kinds(), ("loop", self.loop), ("together", self.together))


# LoopStep names Step before there is one; only now its fields are known in full.
LoopStep.model_rebuild()


class Timing(Model):
    """How far the measured length of a valve opening may be from the wanted one."""

    max_error: Annotated[Duration, Within("0.001ms", "1h")] | None = Field(
        None, description="Largest deviation, such as 5ms; without it only maxRelativeError counts."
    )
    max_relative_error: float = Field(
        0.2,
        ge=RELATIVE_ERROR_MIN,
        le=RELATIVE_ERROR_MAX,
        strict=True,
        allow_inf_nan=False,
        description="Largest deviation as a share of the wanted length: 0.2 is 8 ms of 40 ms.",
    )
    short_pulses: Literal["Refuse", "Allow"] = Field(
        "Refuse",
        description="What to do about openings shorter than (plc.cycle + variation of the write round trips) /"
        " maxRelativeError: refuse the run, or run it all the same and judge it by TimingMet.",
    )


class RecipeSpec(Model):
    """Inputs, steps, and what to do at the end."""

    description: Text = Field("", description="What the recipe makes, for people.")
    inputs: tuple[Input, ...] = Field(
        (),
        max_length=32,
        description="Quantities that each run may choose; a step takes one by countFrom, openFrom, durationFrom,"
        " flowFrom, valueFrom or toFrom.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    steps: tuple[Step, ...] = Field(
        min_length=1,
        max_length=STEPS_MAX,
        description="What to do, in order. A step has a name and exactly one of set, ramp, waitFor, purge, wait, valve,"
        " prompt, loop and together: {name: tma, valve: {valve: tma, open: 40ms}}. Numbers are in the unit that the machine declares;"
        " durations are written like 40ms, 1.5s or 1h30m.",
    )
    cleanup: tuple[Step, ...] = Field(
        (),
        max_length=CLEANUP_MAX,
        description="Steps that run once after success or a failed step, never after an Abort.",
    )
    timing: Timing = Field(
        Timing(),
        description="How exact valve openings have to be; a run says by its condition TimingMet whether they were.",
    )


class Recipe(Model):
    """What to do on a machine."""

    metadata: Metadata = Field(description="Kubernetes' own metadata.")
    spec: RecipeSpec = Field(description="Inputs, steps, and what to do at the end.")


RecipeReason = Literal["Accepted", "InvalidSpec", "TooLarge"]
VerdictReason = Literal["Accepted", "InvalidMachine", "InvalidRecipe", "InputRequired"]


class RecipeCondition(Condition):
    """One fact about a recipe."""

    type: Literal["Valid"] = Field(description="Which fact.")
    reason: RecipeReason = Field(description="Why, in one word of a closed list.")


class MachineVerdict(Model):
    """What the recipe would be on one machine, with the default inputs."""

    name: ObjectName = Field(description="Name of the Machine.")
    valid: bool = Field(description="Whether the recipe can run on it.")
    reason: VerdictReason = Field(description="Why, in one word of a closed list.")
    message: Message = Field("", description="What is wrong and what to do, for people.")
    steps: int | None = Field(None, ge=0, description="Leaf steps executed, loops multiplied out.")
    duration: str | None = Field(
        None,
        max_length=64,
        description="How long: 21m46s, or 13m..45m where a step waits on the plant.",
    )
    machine_generation: Integer = Field(
        0, ge=0, description="Generation of the Machine that this was judged against."
    )


class RecipeStatus(Model):
    """What is the case, written by the operator."""

    observed_generation: Integer = Field(0, ge=0, description="Generation of the spec seen last.")
    conditions: tuple[RecipeCondition, ...] = Field(
        (),
        max_length=4,
        description="Valid says whether the recipe is right in itself.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
    machines: tuple[MachineVerdict, ...] = Field(
        (),
        max_length=16,
        description="What the recipe would be on each Machine of the namespace, at most 16.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
