"""The last scan as names, values and units."""

from __future__ import annotations

import struct

from ald.errors import CorruptRecordError
from ald.plant.model import Plant, digest, signals
from ald.records.scan import Quality, decode_scan
from ald.wire import SignalValue, ValuesReply

NONE_YET = ValuesReply(sequence=0, wall_ns=0, values=())
"""Before the first scan, and while scan and plant do not belong together."""


def values_reply(plant: Plant | None, scan_bytes: bytes, now_ns: int) -> ValuesReply:
    """Return all values of a scan of `plant`; `now_ns` is monotonic, on the clock of the driver's host."""
    if plant is None or not scan_bytes:
        return NONE_YET
    try:
        scan = decode_scan(scan_bytes)
    except CorruptRecordError:
        return NONE_YET
    columns = signals(plant)
    if scan.plant_digest != digest(plant) or scan.count != len(columns):
        return NONE_YET
    numbers = struct.unpack(f"<{scan.count}d", scan.values)
    age_ms = max(0.0, (now_ns - scan.ended_ns) / 1e6)
    return ValuesReply(
        sequence=scan.sequence,
        wall_ns=scan.wall_ns,
        values=tuple(
            SignalValue(
                name=signal.name,
                value=None if quality == Quality.BAD else number,
                unit=signal.unit,
                quality=Quality(quality).name.lower(),
                age_ms=age_ms,
            )
            for signal, number, quality in zip(columns, numbers, scan.qualities, strict=True)
        ),
    )
