"""Requests from the socket as inputs of the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ald.engine.inputs import (
    AbortAsked,
    ActionAsked,
    ClearAsked,
    ConfirmAsked,
    Input,
    PlantGiven,
    RunGiven,
    SafeStateAsked,
)
from ald.errors import InvalidInputError, RefusedError
from ald.gateway.packets import WORDS_MAX
from ald.plant.check import check_plant
from ald.plc.plan import plan_reads
from ald.wire import (
    PROTOCOL,
    AbortRun,
    Clear,
    Confirm,
    DirectRun,
    DriverReply,
    DriverRequest,
    ErrorReply,
    GetFigures,
    GetStatus,
    GoSafe,
    LinkStatus,
    LoadPlant,
    ScanStatus,
    StartRun,
)

if TYPE_CHECKING:
    from ald.gateway.driver.recorder import Recorder
    from ald.gateway.driver.station import Station
    from ald.plant.model import Plant

VIOLATIONS_MAX = 20
"""Violations that a refusal names: an answer that does not fit into the socket is none."""

NO_LINK = LinkStatus(
    connected=False,
    message="no configuration, so there is no PLC to connect to",
    since_wall_ns=0,
    requests=0,
    timeouts=0,
    reconnects=0,
    worst_valve_wait_ns=0,
)
NO_SCAN = ScanStatus(sequence=0, wall_ns=0, late=0, missed=0, bad_signals=0)


def input_of(request: DriverRequest, now_ns: int, write_spread_ns: int | None) -> Input | None:
    """Return what the engine is to be told, None where only the status is asked for.

    Raises:
        RefusedError: the sender speaks another version.
        InvalidInputError: nobody can work with the plant.
    """
    match request.request:
        case LoadPlant(push=push, confirmed=confirmed):
            _check(push.protocol)
            check_usable(push.plant)
            return PlantGiven(
                at_ns=now_ns, plant=push.plant, plant_digest=push.digest, confirmed=confirmed
            )
        case StartRun(order=order):
            _check(order.protocol)
            return RunGiven(at_ns=now_ns, order=order, write_spread_ns=write_spread_ns)
        case AbortRun(uid=uid, order=order):
            return AbortAsked(at_ns=now_ns, uid=uid, by=_cut(order.by), reason=_cut(order.reason))
        case DirectRun(uid=uid, order=order):
            by, reason = _cut(order.by), _cut(order.reason)
            return ActionAsked(at_ns=now_ns, uid=uid, action=order.action, by=by, reason=reason)
        case Clear() | GoSafe() | Confirm() as asked:
            return _of_person(asked, now_ns)
        case GetStatus() | GetFigures():
            return None


def with_figures(
    reply: DriverReply, request: DriverRequest, station: Station | None
) -> DriverReply:
    """Return the reply with what metrics show of the link, where that was asked for and there is one."""
    if station is None or not isinstance(request.request, GetFigures):
        return reply
    return msgspec.structs.replace(reply, figures=station.figures())


def _of_person(asked: Clear | GoSafe | Confirm, now_ns: int) -> Input:
    """Return what a MachineAction asks for."""
    by, comment = _cut(asked.order.by), _cut(asked.order.comment)
    match asked:
        case Clear():
            return ClearAsked(at_ns=now_ns, by=by, comment=comment)
        case GoSafe():
            return SafeStateAsked(at_ns=now_ns, by=by, comment=comment)
        case Confirm(order=order):
            return ConfirmAsked(at_ns=now_ns, target=order.target, by=by, comment=comment)


def _cut(words: str) -> str:
    return words[:WORDS_MAX]


def check_room(given: Input, recorder: Recorder) -> None:
    """Return when the record can hold a run or a plant: a run without its record is none.

    Raises:
        RefusedError: it cannot.
    """
    if isinstance(given, PlantGiven | RunGiven):
        size = len(msgspec.msgpack.encode(given))
        if not recorder.has_room_for(size):
            raise RefusedError(
                "RecordFull", "the record has no room for this now; the front does not read it"
            )


def check_usable(plant: Plant) -> None:
    """Return when a station can be made of the plant; asked before it is kept for good.

    Raises:
        InvalidInputError: one of its values is out of range, a name in it leads nowhere, or no request can read a signal.
    """
    check_plant(plant)
    plan_reads(plant)


def invalid(error: InvalidInputError) -> ErrorReply:
    """Return the answer to a request whose content breaks rules."""
    return ErrorReply(
        reason="Invalid",
        message="the configuration cannot be used",
        violations=tuple(str(violation) for violation in error.violations[:VIOLATIONS_MAX]),
    )


def unwritable(error: OSError) -> RefusedError:
    """Return the refusal of a request that would have to outlive this process, and cannot."""
    return RefusedError(
        "VolumeUnwritable",
        f"the gateway's volume takes no data ({error.strerror}); free space or enlarge it,"
        " or see to its disk where it has become read-only",
    )


def _check(protocol: int) -> None:
    if protocol != PROTOCOL:
        raise RefusedError(
            "Protocol", f"this driver speaks version {PROTOCOL}, the request version {protocol}"
        )
