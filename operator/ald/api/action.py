"""The resource MachineAction: one thing that a person tells a machine."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from ald.api.fields import Integer, Message, Model, Text
from ald.api.meta import Condition, Metadata, Reference

ActionVerb = Literal["Clear", "Confirm", "SafeState"]
ActionReason = Literal[
    "Done", "GatewayUnreachable", "InvalidSpec", "MachineNotFound", "Pending", "Refused"
]


class MachineActionSpec(Model):
    """What to tell which machine."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "self == oldSelf",
                    "message": "an action cannot be changed; make a new one",
                },
                {
                    "rule": "(self.verb == 'Confirm') == has(self.target)",
                    "message": "target is for verb: Confirm, and needed there: the id in the run's status.prompt",
                },
            ]
        }
    )

    machine_ref: Reference = Field(description="Machine to tell.")
    verb: ActionVerb = Field(
        description="Clear takes a machine that is Aborted back to Stopped, when a person has checked it. Confirm answers"
        " the prompt whose id is the target. SafeState writes"
        " the safe state now, ends a run by it, and leaves the machine Aborted until it is cleared."
    )
    target: str | None = Field(
        None,
        min_length=1,
        max_length=64,
        description="What the verb is about: the id of a prompt, as status.prompt of the run shows it.",
    )
    comment: Text = Field("", description="Why, for the record.")


class MachineAction(Model):
    """One thing that a person tells a machine."""

    metadata: Metadata = Field(description="Kubernetes' own metadata.")
    spec: MachineActionSpec = Field(description="What to tell which machine.")


class ActionCondition(Condition):
    """One fact about an action."""

    type: Literal["Succeeded"] = Field(description="Which fact; Unknown while it is pending.")
    reason: ActionReason = Field(description="Why, in one word of a closed list.")


class MachineActionStatus(Model):
    """What became of it, written by the operator."""

    observed_generation: Integer = Field(0, ge=0, description="Generation of the spec seen last.")
    message: Message = Field("", description="What happened and what to do, for people.")
    conditions: tuple[ActionCondition, ...] = Field(
        (),
        max_length=4,
        description="Succeeded is Unknown until the machine has answered.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
