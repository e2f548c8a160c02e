r"""Scans as rows of the two sample tables, in PostgreSQL's binary COPY format, without touching single values in Python.

    block   "PGCOPY\n\xff\r\n\0", flags i32, extension i32, rows, -1 i16
    row     number of fields i16, then each field: length i32, bytes; length -1 and no bytes for NULL

Rows whose value is NULL are shorter, so each block holds first those with a value, then those without.
"""

import uuid
from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from ald.records.scan import SIGNALS_MAX, Scan

BLOCK_OF_IDS = 4096
"""Ids that one scan takes from the sequence `sample_ids`: its increment."""

assert BLOCK_OF_IDS >= SIGNALS_MAX

_PG_EPOCH_US = 946_684_800_000_000
"""2000-01-01 in microseconds since 1970."""

_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"

Array = npt.NDArray[np.void]

ROW = np.dtype(
    [
        ("id", "i8"),
        ("timestamp", "i8"),
        ("value", "f8"),
        ("feed_position", "i8"),
        ("transaction_id", "V16"),
        ("process_id", "V16"),
        ("parameter_id", "i4"),
        ("quality", "i2"),
        ("in_run", "?"),
    ]
)
"""One sample; timestamp in microseconds since 2000, value NaN where there is none."""

_FORMATS = {
    "id": ">i8",
    "timestamp": ">i8",
    "value": ">f8",
    "feed_position": ">i8",
    "transaction_id": "V16",
    "process_id": "V16",
    "parameter_id": ">i4",
    "quality": ">i2",
}
HISTORY = ("id", "timestamp", "value", "feed_position", "transaction_id", "parameter_id", "quality")
"""Columns of parameter_value_history."""

POINTS = (*HISTORY, "process_id")
"""Columns of process_data_points."""


class ScanRow(msgspec.Struct, frozen=True, kw_only=True):
    """One scan with the ids of its parameters and the first id of its samples."""

    position: int
    session: str
    scan: Scan
    parameter_ids: npt.NDArray[np.int32]
    transaction_id: uuid.UUID
    first_id: int


def transaction_id(feed: str, position: int) -> uuid.UUID:
    """Return the id that all values of one scan carry: the same for the same record, however often it comes."""
    return uuid.uuid5(uuid.NAMESPACE_OID, f"{feed}/{position}")


def bad_count(scan: Scan) -> int:
    """Return how many values of a scan are missing."""
    return int(np.isnan(np.frombuffer(scan.values, "<f8")).sum())


def rows(scans: Sequence[ScanRow]) -> Array:
    """Return all samples of these scans, in order."""
    table = np.zeros(sum(s.scan.count for s in scans), ROW)
    start = 0
    for each in scans:
        part = table[start : start + each.scan.count]
        start += each.scan.count
        part["id"] = each.first_id + np.arange(each.scan.count)
        part["timestamp"] = each.scan.wall_ns // 1000 - _PG_EPOCH_US
        part["value"] = np.frombuffer(each.scan.values, "<f8")
        part["feed_position"] = each.position
        part["transaction_id"] = np.void(each.transaction_id.bytes)
        part["parameter_id"] = each.parameter_ids
        part["quality"] = np.frombuffer(each.scan.qualities, "u1")
        if each.scan.run:
            part["process_id"] = np.void(uuid.UUID(each.scan.run).bytes)
            part["in_run"] = True
    return table


def block(samples: Array, columns: Sequence[str]) -> bytes:
    """Return samples as one binary COPY of these columns."""
    nothing = np.isnan(samples["value"])
    return b"".join(
        (
            _HEADER,
            _packed(samples[~nothing], columns, without=""),
            _packed(samples[nothing], columns, without="value"),
            _TRAILER,
        )
    )


def detail(sample: np.void) -> dict[str, object]:
    """Return one sample as a person reads it in dead_letters."""
    value = float(sample["value"])
    return {
        "id": int(sample["id"]),
        "timestamp_us": int(sample["timestamp"]) + _PG_EPOCH_US,
        "value": None if np.isnan(value) else repr(value),
        "transaction_id": str(uuid.UUID(bytes=sample["transaction_id"].tobytes())),
        "process_id": str(uuid.UUID(bytes=sample["process_id"].tobytes()))
        if sample["in_run"]
        else None,
        "parameter_id": int(sample["parameter_id"]),
        "quality": int(sample["quality"]),
    }


def _packed(samples: Array, columns: Sequence[str], *, without: str) -> bytes:
    layout: list[tuple[str, str]] = [("fields", ">i2")]
    for name in columns:
        layout.append((f"{name}_length", ">i4"))
        if name != without:
            layout.append((name, _FORMATS[name]))
    packed = np.zeros(len(samples), np.dtype(layout))
    packed["fields"] = len(columns)
    for name in columns:
        if name == without:
            packed[f"{name}_length"] = -1
        else:
            packed[f"{name}_length"] = np.dtype(_FORMATS[name]).itemsize
            packed[name] = samples[name]
    return packed.tobytes()
