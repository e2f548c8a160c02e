"""What the operator remembers of a run beside its object; all of it can be found anew after a restart."""

from __future__ import annotations

import dataclasses

from ald.controller import names
from ald.controller.apply import Document
from ald.controller.link import Link
from ald.controller.pace import Written
from ald.controller.retry import Retry
from ald.controller.run_decision import Compiled, Rejected
from ald.controller.world import finalizers
from ald.kit.clock import Clock


@dataclasses.dataclass(slots=True, kw_only=True)
class Memory:
    """Of one run, by its uid.

    `doubt`: an order to start it was sent, and nobody knows whether it arrived before the gateway's answer of this number; None: none was.
    """

    retry: Retry
    written: Written | None = None
    missing_since_ns: int = 0
    interrupted_since_ns: int = 0
    lost_since_ns: int = 0
    checked_for: tuple[str, int, str, int] = ("", 0, "", 0)
    checked: Compiled | Rejected | None = None
    refusal: str = ""
    was_taken: bool = False
    doubt: int | None = None
    abort_seen_ns: int = 0
    abort_taken: bool = False

    def is_in_doubt(self, link: Link) -> bool:
        """Tell whether the gateway may have the run without having said so: it did not answer the order, and has not been asked since."""
        if self.doubt is not None and link.reach.driver is not None and link.answers > self.doubt:
            self.doubt = None
        return self.doubt is not None


def begun(run: Document, clock: Clock) -> Memory:
    """Return what is known of a run that is seen for the first time."""
    # The finalizer comes before the order; whether that was sent then, only the operator before this one knew.
    doubt = 0 if names.RUN_FINALIZER in finalizers(run) else None
    return Memory(retry=Retry(clock), doubt=doubt)
