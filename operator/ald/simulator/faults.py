"""What can be made to go wrong on purpose."""

import struct
from typing import Annotated

import msgspec

from ald.plant.model import Table
from ald.simulator.protocol import DEVICE_FAILURE, ILLEGAL_ADDRESS, ILLEGAL_VALUE
from ald.simulator.spoil import Spoil

MISSING_MAX = 1000
"""Spans of addresses that can be taken away."""

_TABLES = {
    1: Table.COIL,
    2: Table.DISCRETE,
    3: Table.HOLDING,
    4: Table.INPUT,
    5: Table.COIL,
    6: Table.HOLDING,
    15: Table.COIL,
    16: Table.HOLDING,
}
_SINGLE_WRITES = (5, 6)
_SPAN = struct.Struct(">HH")

_Milliseconds = Annotated[float, msgspec.Meta(ge=0, le=60_000)]
_Function = Annotated[int, msgspec.Meta(ge=0, le=127)]
_Code = Annotated[int, msgspec.Meta(ge=1, le=11)]
_Address = Annotated[int, msgspec.Meta(ge=0, le=65_535)]
_Limit = Annotated[int, msgspec.Meta(ge=0, le=2000)]
_Count = Annotated[int, msgspec.Meta(ge=0, le=1000)]
_Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Missing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Addresses first to last, both included, that the PLC does not have: exception 2."""

    table: Table
    first: _Address
    last: _Address


_Spans = Annotated[tuple[Missing, ...], msgspec.Meta(max_length=MISSING_MAX)]


class Faults(msgspec.Struct, frozen=True, kw_only=True):
    """The faults in force; the defaults mean none.

    delay_ms, jitter_ms: every answer is sent that much after its request was received, and up to that much more; requests do
    not wait for one another. one_at_a_time: they do: each is served when the answer before it, on whatever connection, has left.
    refuse: the port is closed; connections that exist stay. black_hole: no connection comes about, and those that exist are dead.
    hang_up: connections are closed as soon as they are accepted. max_connections: so are those above it, 0 for no limit.
    freeze: the PLC stands still: requests are read, never answered, never acted upon.
    reject_function: this function is answered with exception `reject_code`, 0 for none.
    spoil: what becomes of answers, of all or of those to `spoil_function`, to `spoil_share` of them. The requests are acted upon.
    read_registers_max and the like: longer requests are answered with exception 3; 0 for the machine's own limits.
    missing: what touches these addresses is answered with exception 2.
    deaf_timers: no pulse that the PLC times begins. stuck_timers: none of them ends by itself.
    """

    delay_ms: _Milliseconds = 0
    jitter_ms: _Milliseconds = 0
    one_at_a_time: bool = False
    refuse: bool = False
    black_hole: bool = False
    hang_up: bool = False
    freeze: bool = False
    reject_function: _Function = 0
    reject_code: _Code = DEVICE_FAILURE
    max_connections: _Count = 0
    spoil: Spoil = Spoil.NOTHING
    spoil_function: _Function = 0
    spoil_share: _Share = 1
    read_registers_max: _Limit = 0
    read_bits_max: _Limit = 0
    write_registers_max: _Limit = 0
    write_bits_max: _Limit = 0
    missing: _Spans = ()
    deaf_timers: bool = False
    stuck_timers: bool = False

    def refusal(self, request: bytes) -> int | None:
        """Return the code with which a request, from the function on, is refused; None where these faults let it pass."""
        function = request[0]
        if function == self.reject_function:
            return self.reject_code
        if function not in _TABLES or len(request) < 1 + _SPAN.size:
            return None
        first, count = _SPAN.unpack_from(request, 1)
        count = 1 if function in _SINGLE_WRITES else count
        limit = self._limit(function)
        if limit and count > limit:
            return ILLEGAL_VALUE
        for span in self.missing:
            is_there = span.first < first + count and first <= span.last
            if is_there and span.table is _TABLES[function]:
                return ILLEGAL_ADDRESS
        return None

    def spoils(self, function: int) -> bool:
        """Tell whether answers to this function may be spoiled."""
        return self.spoil is not Spoil.NOTHING and self.spoil_function in (0, function)

    def _limit(self, function: int) -> int:
        if function <= 4:
            return self.read_bits_max if function <= 2 else self.read_registers_max
        return self.write_bits_max if function in (5, 15) else self.write_registers_max


class FaultOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A change of faults: what is left out stays.

    `drop` resets every open connection, once; `forget` leaves them half open, once: to the client they look alive, and
    nothing that it sends on them ever arrives.
    """

    delay_ms: _Milliseconds | None = None
    jitter_ms: _Milliseconds | None = None
    one_at_a_time: bool | None = None
    refuse: bool | None = None
    black_hole: bool | None = None
    hang_up: bool | None = None
    freeze: bool | None = None
    reject_function: _Function | None = None
    reject_code: _Code | None = None
    max_connections: _Count | None = None
    spoil: Spoil | None = None
    spoil_function: _Function | None = None
    spoil_share: _Share | None = None
    read_registers_max: _Limit | None = None
    read_bits_max: _Limit | None = None
    write_registers_max: _Limit | None = None
    write_bits_max: _Limit | None = None
    missing: _Spans | None = None
    deaf_timers: bool | None = None
    stuck_timers: bool | None = None
    drop: bool = False
    forget: bool = False

    def applied_to(self, faults: Faults) -> Faults:
        """Return the faults with this change."""
        given = {
            name: value
            for name in Faults.__struct_fields__
            if (value := getattr(self, name)) is not None
        }
        return msgspec.structs.replace(faults, **given)
