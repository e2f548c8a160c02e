"""What is known of one machine at one moment: everything that decisions are made from."""

from __future__ import annotations

import msgspec

from ald.controller.apply import Document
from ald.errors import Violation
from ald.plant.model import Plant
from ald.records.event import MachineState
from ald.standing import HistoryStatus
from ald.wire import DriverStatus, GatewayStatus, RunProgress


class Reach(msgspec.Struct, frozen=True, kw_only=True):
    """How the gateway answers: its newest status, or why there is none.

    Attributes:
        status: the newest one since it last answered; None while it does not.
        reason: empty, `GatewayUnreachable`, `GatewayStarting` or `IdentityRefused`.
        message: why there is no status, in plain words.
    """

    status: GatewayStatus | None = None
    reason: str = "Pending"
    message: str = "the gateway has not been asked yet"

    @property
    def is_unasked(self) -> bool:
        """Whether the gateway has not been asked yet, so that nothing can be said of it."""
        return self.status is None and self.reason == "Pending"

    @property
    def driver(self) -> DriverStatus | None:
        """What the driver says, or None when nothing is known of it now."""
        return self.status.driver if self.status else None

    @property
    def history(self) -> HistoryStatus | None:
        """How the history keeps up, or None when nothing is known of it now."""
        return self.status.history if self.status else None

    @property
    def progress(self) -> RunProgress | None:
        """The run in progress or the last one, or None."""
        return self.driver.run if self.driver else None

    @property
    def active_run(self) -> RunProgress | None:
        """The run in progress, or None."""
        run = self.progress
        return run if run is not None and run.outcome is None else None


class Situation(msgspec.Struct, frozen=True, kw_only=True):
    """One machine now. `plant` and `digest` belong together; `violations` say why there is none.

    `push_problem` is why the gateway did not take the plant when it was last offered; `template_waits` that a new pod
    template waits for the end of a run, or for the pods of the old one to be gone; `is_busy` that the gateway has a run, or
    may have one, or is to take one up again; `undrained` how many records keep a Machine that is being deleted, None where
    that is not known.
    """

    machine: Document | None
    plant: Plant | None = None
    digest: str = ""
    violations: tuple[Violation, ...] = ()
    reach: Reach = Reach()
    push_problem: str = ""
    template_waits: bool = False
    is_busy: bool = False
    undrained: int | None = None

    @property
    def is_current(self) -> bool:
        """Whether the driver has confirmed exactly this plant."""
        driver = self.reach.driver
        return (
            driver is not None
            and self.plant is not None
            and driver.plant_confirmed
            and driver.plant_digest == self.digest
        )


BUSY = frozenset(
    {
        MachineState.EXECUTE,
        MachineState.HELD,
        MachineState.COMPLETING,
        MachineState.ABORTING,
    }
)
"""States in which the gateway takes neither a plant nor a run."""
