"""One reading of all signals of a machine, with its time, its quality and its bytes.

Layout of an encoded scan, little-endian:

    offset  size  field
         0     8  sequence       u64, from 1, per gateway session, never used twice in it
         8     8  started_ns     i64, monotonic: first request sent
        16     8  ended_ns       i64, monotonic: last answer received
        24     8  wall_ns        i64, UTC since 1970 of `ended_ns`
        32     8  late_ns        i64, start after its place on the grid
        40    32  plant_digest   the SHA-256 of the plant, raw
        72    16  run            uid of the run in progress, raw; zero: none
        88     4  count          u32, number of signals n
        92     4  reserved       zero
        96   8·n  values         f64 in the signal's unit; NaN where bad
    96+8·n     n  qualities      u8: 0 bad, 1 stale, 2 good
"""

import enum
import struct

import msgspec

from ald.errors import CorruptRecordError

_HEADER = struct.Struct("<Qqqqq32s16sII")
SIGNALS_MAX = 4096
"""Signals in one scan; 1000 parameters and their valves stay far below."""


class Quality(enum.IntEnum):
    """How far a value may be trusted. Unknown is never good."""

    BAD = 0
    STALE = 1
    GOOD = 2


class Scan(msgspec.Struct, frozen=True, kw_only=True):
    """One scan. `values` holds n float64 in native order, `qualities` n bytes; the columns are `plant.signals`.

    `run` is the uid of the run that was in progress at `ended_ns`, empty for none: attribution is decided here, not at
    write time.
    """

    sequence: int
    started_ns: int
    ended_ns: int
    wall_ns: int
    late_ns: int
    plant_digest: str
    run: str
    values: bytes
    qualities: bytes

    @property
    def count(self) -> int:
        """Number of signals."""
        return len(self.qualities)


def encode_scan(scan: Scan) -> bytes:
    """Return the bytes drawn in the module docstring; `values` are taken to be little-endian float64."""
    assert len(scan.values) == 8 * len(scan.qualities), "one float64 a quality"
    run = bytes.fromhex(scan.run.replace("-", "")) if scan.run else bytes(16)
    header = _HEADER.pack(
        scan.sequence,
        scan.started_ns,
        scan.ended_ns,
        scan.wall_ns,
        scan.late_ns,
        bytes.fromhex(scan.plant_digest),
        run,
        len(scan.qualities),
        0,
    )
    return b"".join((header, scan.values, scan.qualities))


def decode_scan(data: bytes) -> Scan:
    """Return the scan.

    Raises:
        CorruptRecordError: wrong length, or a quality that does not exist.
    """
    if len(data) < _HEADER.size:
        raise CorruptRecordError(
            f"a scan record has at least {_HEADER.size} bytes, got {len(data)}"
        )
    sequence, started, ended, wall, late, plant, run, count, _ = _HEADER.unpack_from(data)
    if count > SIGNALS_MAX or len(data) != _HEADER.size + 9 * count:
        raise CorruptRecordError(
            f"a scan record of {count} signals has {_HEADER.size + 9 * count} bytes, got {len(data)}"
        )
    split = _HEADER.size + 8 * count
    qualities = data[split:]
    if qualities and max(qualities) > Quality.GOOD:
        raise CorruptRecordError("a scan record holds a quality that does not exist")
    return Scan(
        sequence=sequence,
        started_ns=started,
        ended_ns=ended,
        wall_ns=wall,
        late_ns=late,
        plant_digest=plant.hex(),
        run=_uid(run),
        values=data[_HEADER.size : split],
        qualities=qualities,
    )


def _uid(raw: bytes) -> str:
    """Return a uid in its usual spelling, empty for sixteen zero bytes."""
    if not any(raw):
        return ""
    h = raw.hex()
    return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"
