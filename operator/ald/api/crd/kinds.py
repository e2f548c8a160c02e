"""Which resources there are, what they are called, and which columns `kubectl get` shows."""

from __future__ import annotations

import msgspec

from ald.api.action import MachineAction, MachineActionStatus
from ald.api.fields import Model
from ald.api.machine import Machine
from ald.api.machine_status import MachineStatus
from ald.api.meta import GROUP, MACHINE_NAME_LENGTH_MAX
from ald.api.recipe import Recipe, RecipeStatus
from ald.api.run import RecipeRun, RecipeRunStatus


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """One column of `kubectl get`; `wide` ones appear with `-o wide` only."""

    name: str
    path: str
    type: str = "string"
    wide: bool = False


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """One custom resource."""

    model: type[Model]
    status: type[Model]
    plural: str
    short: str
    columns: tuple[Column, ...]
    name_length_max: int | None = None

    @property
    def name(self) -> str:
        """The kind as written in YAML."""
        return self.model.__name__

    @property
    def definition_name(self) -> str:
        """The name of its CustomResourceDefinition, and of the file that holds it."""
        return f"{self.plural}.{GROUP}"


def _condition(kind: str, field: str) -> str:
    return f'.status.conditions[?(@.type=="{kind}")].{field}'


_AGE = Column(name="Age", path=".metadata.creationTimestamp", type="date")
_MESSAGE = Column(name="Message", path=".status.message")

KINDS = (
    Kind(
        model=Machine,
        status=MachineStatus,
        plural="machines",
        short="mach",
        name_length_max=MACHINE_NAME_LENGTH_MAX,
        columns=(
            Column(name="State", path=".status.state"),
            Column(name="Ready", path=_condition("Ready", "status")),
            Column(name="Connected", path=".status.link.connected", type="boolean"),
            Column(name="Run", path=".status.currentRun"),
            _AGE,
            Column(name="Mode", path=".spec.mode", wide=True),
            Column(name="PLC", path=".spec.plc.host", wide=True),
            _MESSAGE,
        ),
    ),
    Kind(
        model=Recipe,
        status=RecipeStatus,
        plural="recipes",
        short="rcp",
        columns=(
            Column(name="Valid", path=_condition("Valid", "status")),
            Column(name="Reason", path=_condition("Valid", "reason")),
            _AGE,
            Column(name="Description", path=".spec.description"),
            Column(name="Message", path=_condition("Valid", "message"), wide=True),
        ),
    ),
    Kind(
        model=RecipeRun,
        status=RecipeRunStatus,
        plural="reciperuns",
        short="run",
        columns=(
            Column(name="Machine", path=".spec.machineRef.name"),
            Column(name="Recipe", path=".spec.recipeRef.name"),
            Column(name="Status", path=_condition("Succeeded", "reason")),
            Column(name="Step", path=".status.step"),
            Column(name="Cycle", path=".status.iterations"),
            Column(name="Progress", path=".status.progress"),
            Column(name="Ends", path=".status.estimatedEnd"),
            _AGE,
            _MESSAGE,
        ),
    ),
    Kind(
        model=MachineAction,
        status=MachineActionStatus,
        plural="machineactions",
        short="mact",
        columns=(
            Column(name="Machine", path=".spec.machineRef.name"),
            Column(name="Verb", path=".spec.verb"),
            Column(name="Status", path=_condition("Succeeded", "reason")),
            _AGE,
            _MESSAGE,
        ),
    ),
)
