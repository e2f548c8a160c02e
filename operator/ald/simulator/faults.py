"""What can be made to go wrong on purpose."""

from typing import Annotated

import msgspec

from ald.simulator.protocol import DEVICE_FAILURE


class Faults(msgspec.Struct, frozen=True, kw_only=True):
    """The faults in force; the defaults mean none.

    delay_ms: every answer is sent that much after its request was received; requests do not wait for one another.
    refuse: the port is closed; connections that exist stay. freeze: the PLC stands still: requests are read, never answered,
    never acted upon. reject_function: this function is answered with exception `reject_code`, 0 for none.
    max_connections: further ones are closed at once, 0 for no limit.
    """

    delay_ms: Annotated[float, msgspec.Meta(ge=0, le=60_000)] = 0
    refuse: bool = False
    freeze: bool = False
    reject_function: Annotated[int, msgspec.Meta(ge=0, le=127)] = 0
    reject_code: Annotated[int, msgspec.Meta(ge=1, le=11)] = DEVICE_FAILURE
    max_connections: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 0


class FaultOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A change of faults: what is left out stays. `drop` closes every open connection, once."""

    delay_ms: Annotated[float, msgspec.Meta(ge=0, le=60_000)] | None = None
    refuse: bool | None = None
    freeze: bool | None = None
    reject_function: Annotated[int, msgspec.Meta(ge=0, le=127)] | None = None
    reject_code: Annotated[int, msgspec.Meta(ge=1, le=11)] | None = None
    max_connections: Annotated[int, msgspec.Meta(ge=0, le=1000)] | None = None
    drop: bool = False

    def applied_to(self, faults: Faults) -> Faults:
        """Return the faults with this change."""
        given = {
            name: value
            for name in Faults.__struct_fields__
            if (value := getattr(self, name)) is not None
        }
        return msgspec.structs.replace(faults, **given)
