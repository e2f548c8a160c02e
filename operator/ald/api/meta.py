"""What the resources share around their specs: group, metadata, references and conditions."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from ald.api.fields import Message, Model, ObjectName, Timestamp

GROUP = "ald.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
CATEGORY = "ald"

MACHINE_NAME_LENGTH_MAX = 50
"""The names of what the operator makes for a machine are longer by a suffix, and end at 63 characters."""


class Metadata(Model):
    """The part of Kubernetes' own metadata that ald reads; the rest is left alone."""

    model_config = ConfigDict(extra="ignore")

    name: str = Field("", max_length=253, description="Name of the object in its namespace.")
    namespace: str = Field("", max_length=63, description="Namespace of the object.")
    uid: str = Field("", max_length=64, description="Identity of the object over its whole life.")
    generation: int = Field(0, description="Counts the changes of the spec.")
    creation_timestamp: str | None = Field(None, description="When the object was created.")
    deletion_timestamp: str | None = Field(None, description="When its deletion was asked for.")


class Reference(Model):
    """Another object of the same namespace."""

    name: ObjectName = Field(description="Name of the object, in the same namespace.")


class Condition(Model):
    """One fact about an object, in the usual form of Kubernetes; each kind closes the lists of types and reasons."""

    status: Literal["True", "False", "Unknown"] = Field(description="Whether the fact holds.")
    message: Message = Field("", description="What is the case and what to do, for people.")
    last_transition_time: Timestamp = Field(description="When the status last changed.")
    observed_generation: int = Field(0, ge=0, description="Generation of the spec that was judged.")
