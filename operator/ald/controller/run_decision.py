"""What is known of a RecipeRun when it is decided about, and what can be decided. Data only."""

from __future__ import annotations

import msgspec

from ald.controller.apply import Document
from ald.controller.views import Situation
from ald.errors import Violation
from ald.program.model import Program
from ald.wire import RunAction, RunProgress


class Compiled(msgspec.Struct, frozen=True, kw_only=True):
    """A program for this run on this machine as they are now; of an attempt after the first the rest of it."""

    program: Program
    digest: str
    attempt: int = 1


class Rejected(msgspec.Struct, frozen=True, kw_only=True):
    """Why there is no program; `reason` is a run's reason."""

    reason: str
    violations: tuple[Violation, ...]


class RunFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that decides about one run.

    Attributes:
        position: its place among the runs of its machine that no gateway has, from 1.
        missing_s: how long its recipe or machine has been missing, 0 when both are there.
        lost_s: how long a gateway that answers has not known it although it took it.
        checked: what compiling it gave; None while it has not been compiled as things are now.
        refusal: why the gateway did not take it when it was last offered.
        was_taken: whether a gateway has taken it, though its status may not say so yet.
        in_doubt: whether an order to start it was sent of which nobody knows yet whether it arrived.
        resuming: another run of the machine, which waits to be taken up again; empty for none.
        unended: another run of the machine that a gateway has taken, and whose end is not written; empty for none.
        interrupted_s: for how long the run has been interrupted by a restart of the gateway, 0 where it is not.
    """

    run: Document
    has_recipe: bool
    situation: Situation
    position: int = 1
    missing_s: float = 0.0
    lost_s: float = 0.0
    checked: Compiled | Rejected | None = None
    refusal: str = ""
    was_taken: bool = False
    in_doubt: bool = False
    resuming: str = ""
    unended: str = ""
    interrupted_s: float = 0.0


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Say how the run stands; it is not over. `tell` is what the gateway still has to be told that it shall do."""

    status: Document
    tell: RunAction | None = None


class End(msgspec.Struct, frozen=True, kw_only=True):
    """The run is over: write this status once, and never another. `unsafe`: why the machine is to be made safe before."""

    status: Document
    reason: str
    unsafe: str = ""


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """Compile the run, or what is left of it behind what `interrupted` had reached, then decide again."""

    interrupted: RunProgress | None = None


class HandOver(msgspec.Struct, frozen=True, kw_only=True):
    """Give the run to the gateway."""

    compiled: Compiled


class Nothing(msgspec.Struct, frozen=True, kw_only=True):
    """The run is over and says so."""


RunDecision = Report | End | Check | HandOver | Nothing
