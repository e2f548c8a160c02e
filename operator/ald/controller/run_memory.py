"""What the operator remembers of a run beside its object; all of it can be found anew after a restart."""

from __future__ import annotations

import dataclasses

from ald.controller.pace import Written
from ald.controller.retry import Retry
from ald.controller.run_decision import Compiled, Rejected


@dataclasses.dataclass(slots=True, kw_only=True)
class Memory:
    """Of one run, by its uid."""

    retry: Retry
    written: Written | None = None
    missing_since_ns: int = 0
    interrupted_since_ns: int = 0
    lost_since_ns: int = 0
    checked_for: tuple[str, int, str, int] = ("", 0, "", 0)
    checked: Compiled | Rejected | None = None
    refusal: str = ""
    was_taken: bool = False
    abort_seen_ns: int = 0
    abort_taken: bool = False
