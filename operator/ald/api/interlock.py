"""What must be true of a machine, always or before a run, in the language of the recipes' `waitFor`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ald.api.fields import Duration, Model, Name, Within

InterlockAction = Literal["Block", "Hold", "Abort"]
Expression = Annotated[str, Field(min_length=1, max_length=1000)]


class Interlock(Model):
    """What must be true of the plant at all times."""

    name: Name = Field(description="Name of the interlock, for messages and the record.")
    permissive: Expression = Field(
        description="What must be true, such as value('gauge-1.pressure-read') < 500.0. False, not to be evaluated, or"
        " with a value that is not good, it is violated."
    )
    for_: Annotated[Duration, Within("0s", "1h", cel=False)] = Field(
        "0s",
        alias="for",
        description="How long it must be violated before anything happens; two scan periods forgive a single bad scan.",
    )
    action: InterlockAction = Field(
        description="Block: no run starts and no valve opens. Hold: the run holds before its next step. Abort: the safe"
        " state at once, also without a run, and Aborted until somebody clears it."
    )


class Readiness(Model):
    """What must be true of the plant before a run starts."""

    name: Name = Field(description="Name of the condition, for messages.")
    condition: Expression = Field(
        description="What must be true, such as value('cover.is-closed') == 1.0. False, not to be evaluated, or with a value"
        " that is not good, no run starts: it waits."
    )
