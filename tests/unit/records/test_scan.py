"""The bytes of a scan."""

import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ald.errors import CorruptRecordError
from ald.records.scan import Quality, Scan, decode_scan, encode_scan

RUN = "0c1f4a56-8a34-4ad8-9f37-6b6f1f0f1b11"


def scan(values: list[float], qualities: list[int], run: str = RUN) -> Scan:
    return Scan(
        sequence=7,
        started_ns=10,
        ended_ns=20,
        wall_ns=30,
        late_ns=1,
        plant_digest="ab" * 32,
        run=run,
        values=array.array("d", values).tobytes(),
        qualities=bytes(qualities),
    )


@given(
    st.lists(st.tuples(st.floats(allow_nan=False), st.sampled_from(list(Quality))), max_size=50),
    st.sampled_from(["", RUN]),
)
def test_a_scan_read_back_is_the_scan_written(rows: list[tuple[float, int]], run: str) -> None:
    written = scan([v for v, _ in rows], [q for _, q in rows], run)
    assert decode_scan(encode_scan(written)) == written


def test_a_truncated_scan_is_refused_with_its_lengths() -> None:
    data = encode_scan(scan([1.0], [2]))
    with pytest.raises(CorruptRecordError, match="has 105 bytes, got 104"):
        decode_scan(data[:-1])
    with pytest.raises(CorruptRecordError, match="at least 96 bytes"):
        decode_scan(data[:50])


def test_a_quality_that_does_not_exist_is_refused() -> None:
    data = encode_scan(scan([1.0], [2]))
    with pytest.raises(CorruptRecordError, match="quality"):
        decode_scan(data[:-1] + b"\x03")
