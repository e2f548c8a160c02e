"""All values of a scan from the bytes of its read requests in one pass, prepared once per machine.

Payloads are the data bytes of the answers, as in the Modbus Application Protocol V1.1b3, 6.1 to 6.4:

    registers (FC3, FC4)   high byte, low byte of the first address, then of the next ...   2 * count bytes
    bits (FC1, FC2)        bit 0 of byte 0 is the first address, then upwards               ceil(count / 8) bytes
"""

from collections import defaultdict
from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from ald.errors import LinkDesyncError
from ald.plant.model import DataType, Signal, Table
from ald.plant.words import byte_positions

QUALITY_BAD = 0
QUALITY_GOOD = 2

_DTYPES = {
    DataType.INT16: ">i2",
    DataType.UINT16: ">u2",
    DataType.INT32: ">i4",
    DataType.UINT32: ">u4",
    DataType.INT64: ">i8",
    DataType.UINT64: ">u8",
    DataType.FLOAT32: ">f4",
    DataType.FLOAT64: ">f8",
}


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """One merged read: `count` bits or registers of `table` from `first` on."""

    table: Table
    first: int
    count: int

    @property
    def payload_bytes(self) -> int:
        """Data bytes in the answer."""
        return (self.count + 7) // 8 if self.table.is_bits else 2 * self.count


class _Words(msgspec.Struct, frozen=True):
    """Signals of one register type: columns, and per signal the positions of its bytes, most significant first."""

    dtype: str
    columns: npt.NDArray[np.intp]
    positions: npt.NDArray[np.intp]


class ScanDecoder:
    """Decodes the answers to `blocks` into one value and one quality per signal.

    Shared spaces: a block of holding registers also serves signals of the input table, a block of coils those of the discrete
    table, and the other way round.
    """

    def __init__(
        self,
        signals: Sequence[Signal],
        blocks: Sequence[Block],
        *,
        shared_registers: bool = False,
        shared_bits: bool = False,
    ) -> None:
        self._blocks = tuple(blocks)
        self._scale = np.array([s.scale for s in signals], np.float64)
        self._offset = np.array([s.offset for s in signals], np.float64)
        starts = np.cumsum([0, *(b.payload_bytes for b in self._blocks)])
        block_of = np.zeros(len(signals), np.intp)
        bits: list[tuple[int, int, int]] = []
        words: defaultdict[DataType, list[tuple[int, list[int]]]] = defaultdict(list)
        for column, signal in enumerate(signals):
            point = signal.point
            shared = shared_bits if point.table.is_bits else shared_registers
            index = self._covering(signal, shared=shared)
            block_of[column] = index
            distance = point.address - self._blocks[index].first
            start = int(starts[index])
            if point.table.is_bits:
                bits.append((column, start + distance // 8, distance % 8))
            else:
                at = start + 2 * distance
                places = [at + i for i in byte_positions(point.type, point.order)]
                words[point.type].append((column, places))
        self._block_of = block_of
        self._bits = np.array(bits, np.intp).reshape(-1, 3).T
        self._words = tuple(
            _Words(
                _DTYPES[kind],
                np.array([column for column, _ in found], np.intp),
                np.array([places for _, places in found], np.intp),
            )
            for kind, found in words.items()
        )

    def _covering(self, signal: Signal, *, shared: bool) -> int:
        point = signal.point
        width = 1 if point.table.is_bits else point.type.words
        for index, block in enumerate(self._blocks):
            fits = block.table is point.table or (
                shared and block.table.is_bits == point.table.is_bits
            )
            inside = block.first <= point.address <= block.first + block.count - width
            if fits and inside:
                return index
        raise AssertionError(f"no block reads {signal.name}")

    def decode(
        self, payloads: Sequence[bytes | None]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.uint8]]:
        """Return float64 values in the signals' units and their qualities (`QUALITY_GOOD` or `QUALITY_BAD`).

        `payloads` holds one entry a block, None where its request failed. A value that was not read, is NaN or infinite is
        bad, and NaN in the result.

        Raises:
            LinkDesyncError: a payload is longer or shorter than its block.
        """
        parts = []
        for block, payload in zip(self._blocks, payloads, strict=True):
            size = block.payload_bytes
            if payload is not None and len(payload) != size:
                raise LinkDesyncError(
                    f"{block.count} of table {block.table.value} from {block.first} take {size} bytes, got {len(payload)}"
                )
            parts.append(bytes(size) if payload is None else payload)
        data = np.frombuffer(b"".join(parts), np.uint8)
        values = np.empty(len(self._scale), np.float64)
        columns, places, shifts = self._bits
        values[columns] = (data[places] >> shifts) & 1
        # A PLC may send any bits: a signalling NaN or an overflow in the scaling is bad, and no reason to warn.
        with np.errstate(over="ignore", invalid="ignore"):
            for group in self._words:
                values[group.columns] = data[group.positions].view(group.dtype)[:, 0]
            values *= self._scale
            values += self._offset
        read = np.array([p is not None for p in payloads], np.bool_)
        good = np.isfinite(values) & read[self._block_of]
        values[~good] = np.nan
        return values, np.where(good, QUALITY_GOOD, QUALITY_BAD).astype(np.uint8)
