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
from ald.plant.model import DataType, Order, Signal, Table

QUALITY_BAD = 0
QUALITY_GOOD = 2

_NUMBERS = {
    DataType.INT16: "i2",
    DataType.UINT16: "u2",
    DataType.INT32: "i4",
    DataType.UINT32: "u4",
    DataType.INT64: "i8",
    DataType.UINT64: "u8",
    DataType.FLOAT32: "f4",
    DataType.FLOAT64: "f8",
}

# With the two bytes of each word swapped or not, every order is plain big endian or plain little endian.
_SWAPPED = frozenset({Order.CDAB, Order.BADC})
_ENDS = {Order.ABCD: ">", Order.BADC: ">", Order.CDAB: "<", Order.DCBA: "<"}


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """One merged read: `count` bits or registers of `table` from `first` on."""

    table: Table
    first: int
    count: int

    @property
    def payload_bytes(self) -> int:
        """Data bytes in the answer."""
        return (self.count + 7) // 8 if self.table.is_bits else 2 * self.count


class _Places(msgspec.Struct, frozen=True):
    """Indices into an array. One run upwards, which costs no copy, goes from `first` to before `end`; `end` is 0 for any other."""

    indices: npt.NDArray[np.intp]
    first: int
    end: int


class _Layout(msgspec.Struct, frozen=True):
    """Signals that decode alike: their columns, and the words of each, lowest address first, counted over all register blocks.

    `swapped`: the two bytes of each word change places before `dtype` is applied.
    """

    dtype: str
    swapped: bool
    columns: _Places
    words: _Places

    def put(
        self,
        values: npt.NDArray[np.float64],
        plain: npt.NDArray[np.uint16],
        swapped: npt.NDArray[np.uint16],
    ) -> None:
        """Put the raw values into their columns, from the words of a scan."""
        source = swapped if self.swapped else plain
        places = self.words
        # `take` is several times as fast as an index in brackets.
        words = source[places.first : places.end] if places.end else source.take(places.indices)
        columns = self.columns
        if columns.end:
            values[columns.first : columns.end] = words.view(self.dtype)
        else:
            values[columns.indices] = words.view(self.dtype)


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
        self._parts = tuple((block.table.is_bits, block.payload_bytes) for block in self._blocks)
        self._scale = np.array([s.scale for s in signals], np.float64)
        self._offset = np.array([s.offset for s in signals], np.float64)
        self._is_scaled = bool(np.any(self._scale != 1.0) or np.any(self._offset != 0.0))
        starts = _starts(self._blocks)
        block_of = np.zeros(len(signals), np.intp)
        bits: list[tuple[int, int, int]] = []
        word_bits: list[tuple[int, int, int]] = []
        layouts: defaultdict[tuple[DataType, Order], list[tuple[int, int]]] = defaultdict(list)
        for column, signal in enumerate(signals):
            point = signal.point
            shared = shared_bits if point.table.is_bits else shared_registers
            index = self._covering(signal, shared=shared)
            block_of[column] = index
            distance = point.address - self._blocks[index].first
            if point.table.is_bits:
                bits.append((column, starts[index] + distance // 8, distance % 8))
            elif point.bit is not None:
                word_bits.append((column, starts[index] + distance, point.bit))
            else:
                layouts[point.type, point.order].append((column, starts[index] + distance))
        self._block_of = block_of
        self._bits = np.array(bits, np.intp).reshape(-1, 3).T
        self._word_bits = np.array(word_bits, np.intp).reshape(-1, 3).T
        self._layouts = tuple(_layout(*key, found) for key, found in layouts.items())
        self._is_swapping = any(layout.swapped for layout in self._layouts)

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
        registers: list[bytes] = []
        bits: list[bytes] = []
        for index, ((is_bits, size), payload) in enumerate(zip(self._parts, payloads, strict=True)):
            if payload is not None and len(payload) != size:
                block = self._blocks[index]
                raise LinkDesyncError(
                    f"{block.count} of table {block.table.value} from {block.first} take {size} bytes, got {len(payload)}"
                )
            part = bits if is_bits else registers
            part.append(bytes(size) if payload is None else payload)
        values = np.empty(len(self._scale), np.float64)
        columns, places, shifts = self._bits
        if len(columns):
            values[columns] = (np.frombuffer(b"".join(bits), np.uint8)[places] >> shifts) & 1
        joined = b"".join(registers)
        columns, places, shifts = self._word_bits
        if len(columns):
            values[columns] = (np.frombuffer(joined, ">u2")[places] >> shifts) & 1
        plain = np.frombuffer(joined, np.uint16)
        swapped = plain.byteswap() if self._is_swapping else plain
        # A PLC may send any bits: a signalling NaN or an overflow in the scaling is bad, and no reason to warn.
        with np.errstate(over="ignore", invalid="ignore"):
            for layout in self._layouts:
                layout.put(values, plain, swapped)
            if self._is_scaled:
                values *= self._scale
                values += self._offset
        good = np.isfinite(values)
        if None in payloads:
            good &= np.array([p is not None for p in payloads], np.bool_)[self._block_of]
        if np.count_nonzero(good) < len(good):
            values[~good] = np.nan
        return values, good.view(np.uint8) * np.uint8(QUALITY_GOOD)


def _starts(blocks: Sequence[Block]) -> list[int]:
    """Return where each block begins: in the words of all register blocks, or in the bytes of all blocks of bits."""
    starts, words, octets = [], 0, 0
    for block in blocks:
        if block.table.is_bits:
            starts.append(octets)
            octets += block.payload_bytes
        else:
            starts.append(words)
            words += block.count
    return starts


def _layout(kind: DataType, order: Order, found: list[tuple[int, int]]) -> _Layout:
    """Return the layout of signals of one type and order, each given as its column and its first word."""
    columns = np.array([column for column, _ in found], np.intp)
    firsts = np.array([first for _, first in found], np.intp)
    words = (firsts[:, np.newaxis] + np.arange(kind.words)).ravel()
    return _Layout(
        dtype=_ENDS[order] + _NUMBERS[kind],
        swapped=order in _SWAPPED,
        columns=_places(columns),
        words=_places(words),
    )


def _places(indices: npt.NDArray[np.intp]) -> _Places:
    """Return the indices, with their run where they are one."""
    first = int(indices[0])
    end = first + len(indices)
    return _Places(indices, first, end if np.array_equal(indices, np.arange(first, end)) else 0)
