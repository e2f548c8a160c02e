"""The resource RecipeRun: one execution of a recipe on a machine."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, Strict

from ald.api.fields import (
    COMPONENT_PATTERN,
    InputName,
    Integer,
    Message,
    Model,
    Name,
    Scalar,
    Timestamp,
)
from ald.api.meta import Condition, Metadata, Reference
from ald.api.recipe import LOOP_COUNT_MAX, LOOP_DEPTH_MAX

PLAN_ROWS_MAX = 100
"""Rows of the step table of a dry run; the rest is counted in `omitted`."""

LOOP_PATTERN = rf"^{COMPONENT_PATTERN}(/{COMPONENT_PATTERN}){{0,3}}$"
Cycle = Annotated[int, Strict(), Field(ge=1, le=LOOP_COUNT_MAX)]

Verb = Literal["Run", "Pause", "Stop", "Abort"]
OnGatewayRestart = Literal["Abort", "Resume"]
Phase = Literal["Pending", "Queued", "Running", "Held", "Succeeded", "Failed", "Aborted", "Stopped"]
RunReason = Literal[
    "Aborted",
    "Completed",
    "DryRun",
    "GatewayRestarted",
    "GatewayUnreachable",
    "Held",
    "HoldTimeout",
    "Interlock",
    "InvalidInput",
    "InvalidRecipe",
    "LinkLost",
    "MachineNotFound",
    "MachineNotReady",
    "NothingMeasured",
    "Paused",
    "Pending",
    "PulseTooShort",
    "Queued",
    "RecipeNotFound",
    "RecordingFailed",
    "ResumeRefused",
    "Resuming",
    "Running",
    "SafetyViolation",
    "Shutdown",
    "StepFailed",
    "TimedByPLC",
    "TimingMissed",
    "ValveMismatch",
    "ValveUnknown",
    "WithinLimits",
    "Stopped",
]


class StartAt(Model):
    """Where a run begins that takes up one which ended early."""

    step: Annotated[str, Field(pattern=LOOP_PATTERN, max_length=255)] = Field(
        description="Name of a loop, with the names of the loops around it as status.step shows them: deposit, or pair/first."
    )
    cycle: Cycle = Field(description="Cycle of that loop to begin with, counted from 1.")
    outer_cycles: tuple[Cycle, ...] = Field(
        (),
        max_length=LOOP_DEPTH_MAX - 1,
        description="Cycles that the loops around it are in, outermost first, one for each; none for a loop in no other.",
    )


class RecipeRunSpec(Model):
    """What to run, where, and with what."""

    # Inputs are of several types, which CEL does not see by name; it does compare them as part of the whole spec.
    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "self.action != oldSelf.action || self == oldSelf",
                    "message": "a run cannot be changed but for its action; make a new one",
                },
                {
                    "rule": "self.recipeRef == oldSelf.recipeRef && self.machineRef == oldSelf.machineRef"
                    " && self.dryRun == oldSelf.dryRun && self.onGatewayRestart == oldSelf.onGatewayRestart",
                    "message": "a run cannot be changed but for its action; make a new one",
                },
                {
                    "rule": "has(self.startAt) == has(oldSelf.startAt)"
                    " && (!has(self.startAt) || self.startAt == oldSelf.startAt)",
                    "message": "a run cannot be changed but for its action; make a new one",
                },
                {
                    "rule": "self.action == oldSelf.action || self.action == 'Abort'"
                    " || (oldSelf.action in ['Run', 'Pause'] && self.action in ['Run', 'Pause', 'Stop'])",
                    "message": "a stopped or aborted run cannot go on; make a new one",
                },
            ]
        }
    )

    recipe_ref: Reference = Field(description="Recipe to run.")
    machine_ref: Reference = Field(description="Machine to run it on.")
    inputs: dict[InputName, Scalar] = Field(
        default_factory=dict,
        max_length=32,
        description="Values of the recipe's inputs: numbers, booleans, or durations such as 40ms.",
    )
    start_at: StartAt | None = Field(
        None,
        description="Cycle of a loop to begin with, instead of the first step: what the steps before it have set is restored,"
        " and they are not done again. Without it the run begins at the beginning.",
    )
    dry_run: bool = Field(
        default=False,
        strict=True,
        description="Only say what would happen: steps, duration, valve openings.",
    )
    on_gateway_restart: OnGatewayRestart = Field(
        "Abort",
        description="When the gateway's process dies in the middle of the run, the machine is made safe. Abort: then the run has ended."
        " Resume: it goes on with the next whole cycle, once the machine is ready and what the steps before have set is restored;"
        " or it ends as ResumeRefused when that is not possible within 10 minutes.",
    )
    action: Verb = Field(
        "Run",
        description="Run; Pause to hold it where no valve is open, until Run again; Stop to end the run after its present step, with the cleanup steps; Abort to end it at once in"
        " the safe state. The only field that may change.",
    )


class RecipeRun(Model):
    """One execution of a recipe on a machine."""

    metadata: Metadata = Field(description="Kubernetes' own metadata.")
    spec: RecipeRunSpec = Field(description="What to run, where, and with what.")


class RunCondition(Condition):
    """One fact about a run."""

    type: Literal["Succeeded", "TimingMet"] = Field(
        description="Which fact; Unknown while the run is active."
    )
    reason: RunReason = Field(description="Why, in one word of a closed list.")


class Pulses(Model):
    """The openings of valves so far."""

    count: Integer = Field(ge=0, description="Openings so far.")
    p50_error_ms: float | None = Field(
        None,
        ge=0,
        description="Half of the openings deviated by at most this, in milliseconds; at most 6.25 % or 1 µs too large.",
    )
    p99_error_ms: float | None = Field(
        None,
        ge=0,
        description="99 of 100 openings deviated by at most this, in milliseconds; at most 6.25 % or 1 µs too large.",
    )
    worst_error_ms: float | None = Field(
        None,
        description="Largest deviation of an opening's measured from its wanted length, in milliseconds.",
    )


class Held(Model):
    """Why a run stands still; the message says more."""

    reason: str = Field(max_length=64, description="Why, in one word: Paused, PurgeFlowLow.")
    obstacle: str | None = Field(
        None,
        max_length=64,
        description="What stands in the way of a paused run besides, in one word: Interlock, WatchdogLost.",
    )
    since: Timestamp = Field(description="Since when.")
    until: Timestamp = Field(description="When the run is aborted because maxHold has passed.")


class PromptStatus(Model):
    """A prompt that waits for a MachineAction with verb Confirm."""

    id: str = Field(max_length=64, description="Target of the action that confirms it.")
    message: str = Field(max_length=300, description="What is asked.")


class PlanRow(Model):
    """One row of the step table."""

    name: str = Field(max_length=400, description="Name of the step with its loops: deposit/tma.")
    kind: Literal[
        "set", "ramp", "waitFor", "purge", "wait", "valve", "prompt", "loop", "together"
    ] = Field(description="Kind of the step.")
    detail: str = Field("", max_length=400, description="What it does, resolved: tma 40ms.")
    repeats: Integer = Field(1, ge=0, description="How often it runs, loops multiplied out.")


class Openings(Model):
    """How often one valve opens."""

    valve: Name = Field(description="Name of the valve.")
    count: Integer = Field(ge=0, description="Openings in the whole run.")


class SeparationRow(Model):
    """What was proven for one exclusion group: no two of its valves open together, and this purge between them."""

    group: Name = Field(description="Name of the exclusion group.")
    valves: tuple[Name, ...] = Field(
        (), max_length=64, description="Valves of which no two are ever open together."
    )
    required: str = Field(
        max_length=400, description="Purge that the group asks for: 300ms of N2 >= 20 sccm."
    )
    smallest: str = Field(
        "",
        max_length=64,
        description="Least purge between two of the valves in the whole run; empty where no two follow each other.",
    )
    before: str = Field(
        "", max_length=400, description="Step that this purge comes before: deposit/water."
    )


class Plan(Model):
    """What a run would do, without having done it."""

    duration: str = Field(
        max_length=64, description="How long: 21m46s, or 13m..45m where a step waits on the plant."
    )
    steps: tuple[PlanRow, ...] = Field(
        (), max_length=PLAN_ROWS_MAX, description="The steps in order, at most 100 rows."
    )
    omitted: Integer = Field(0, ge=0, description="Rows that did not fit.")
    separations: tuple[SeparationRow, ...] = Field(
        (),
        max_length=64,
        description="What was proven for each exclusion group.",
        json_schema_extra={
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["group"],
        },
    )
    openings: tuple[Openings, ...] = Field(
        (),
        max_length=64,
        description="How often each valve opens.",
        json_schema_extra={
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["valve"],
        },
    )


class RecipeRunStatus(Model):
    """What is the case, written by the operator."""

    observed_generation: Integer = Field(0, ge=0, description="Generation of the spec seen last.")
    phase: Phase = Field("Pending", description="A word for people; nothing is decided by it.")
    message: Message = Field("", description="What is going on and what to do, for people.")
    queue_position: Integer | None = Field(
        None, ge=1, description="Place in the queue of the machine; 1 is next."
    )
    step: str = Field("", max_length=400, description="Step that is running: deposit/tma.")
    iterations: str = Field("", max_length=100, description="Where its loops are: 3/500.")
    steps_done: Integer = Field(0, ge=0, description="Leaf steps done.")
    steps_total: Integer = Field(0, ge=0, description="Leaf steps in all, loops multiplied out.")
    percent: Annotated[int, Field(ge=0, le=100)] = Field(0, description="Leaf steps done, percent.")
    progress: str = Field("", max_length=10, description="The same for people: 29 %.")
    started_at: Timestamp | None = Field(None, description="When the first step began.")
    ended_at: Timestamp | None = Field(None, description="When the run ended.")
    estimated_end: Timestamp | None = Field(
        None,
        description="When the run should end; nobody knows while it is held, or once it leaves steps out.",
    )
    program_digest: str = Field("", max_length=64, description="Digest of the compiled program.")
    resumed: Integer = Field(
        0, ge=0, description="How often it was taken up after a restart of the gateway."
    )
    gateway_session: str = Field("", max_length=64, description="Gateway session that runs it.")
    pulses: Pulses | None = Field(None, description="The openings of valves so far.")
    held: Held | None = Field(None, description="Why the run stands still, while it does.")
    prompt: PromptStatus | None = Field(None, description="What waits for somebody to confirm.")
    inputs_digest: str = Field(
        "", max_length=64, description="Digest of the inputs as first seen: they cannot be changed."
    )
    plan: Plan | None = Field(None, description="What a dry run found.")
    conditions: tuple[RunCondition, ...] = Field(
        (),
        max_length=4,
        description="Succeeded and TimingMet are Unknown while the run is active; TimingMet says whether the openings were"
        " as exact as the recipe's timing wants them.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
