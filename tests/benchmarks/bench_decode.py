"""A scan of 1000 float32 from the bytes of its answers: the product's decoder against one bare `struct` unpack."""

import random
import statistics
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from ald.plant.decoder import Block, ScanDecoder
from ald.plant.model import DataType, Order, Point, Signal, Table
from benchmarks.figures import Figure, in_turn
from benchmarks.rounds import Benchmark, Options, Round

VALUES = 1000
BLOCK_REGISTERS = 125
LAPS = 10
CALLS = 200
"""Decodings in one measurement."""


@contextmanager
def ready(options: Options) -> Iterator[Round]:
    calls = max(1, int(CALLS * options.scale))
    payload = struct.pack(
        f">{VALUES}f", *(random.Random(1).uniform(-1e3, 1e3) for _ in range(VALUES))
    )
    bare = struct.Struct(f">{VALUES}f")
    contenders = {
        "us_abcd": _timed(calls, _decode(Order.ABCD, payload)),
        "us_cdab": _timed(calls, _decode(Order.CDAB, payload)),
        "us_struct": _timed(calls, lambda: bare.unpack(payload)),
    }

    def measure(number: int) -> Mapping[str, float]:
        laps = in_turn(number, contenders, laps=LAPS)
        return {name: statistics.median(values) for name, values in laps.items()}

    yield measure


def _decode(order: Order, payload: bytes) -> Callable[[], object]:
    """Return a call that decodes a scan of 1000 float32 in 16 blocks of 125 registers, less in the last one.

    A value takes two registers, and no block splits one, so that blocks hold 62 values.
    """
    signals = [_signal(number, order) for number in range(VALUES)]
    held = BLOCK_REGISTERS // 2
    blocks, payloads = [], []
    for first in range(0, VALUES, held):
        count = min(held, VALUES - first)
        blocks.append(Block(table=Table.HOLDING, first=2 * first, count=2 * count))
        payloads.append(payload[4 * first : 4 * (first + count)])
    decoder = ScanDecoder(signals, blocks)
    return lambda: decoder.decode(payloads)


def _signal(number: int, order: Order) -> Signal:
    point = Point(table=Table.HOLDING, address=2 * number, type=DataType.FLOAT32, order=order)
    return Signal(name=f"p{number}", component="p", point=point, unit="", scale=1.0, offset=0.0)


def _timed(calls: int, act: Callable[[], object]) -> Callable[[], float]:
    """Return a call that gives the microseconds that `act` takes."""

    def microseconds() -> float:
        begin_ns = time.perf_counter_ns()
        for _ in range(calls):
            act()
        return (time.perf_counter_ns() - begin_ns) / calls / 1e3

    return microseconds


BENCHMARK = Benchmark(
    name="decode",
    title="1000 float32 from the bytes of a scan",
    reference="one struct.unpack of the same 4000 bytes (us_struct)",
    figures=(
        Figure(name="us_abcd", unit="µs", bar=20, drift=0.5),
        Figure(name="us_cdab", unit="µs", bar=20, drift=0.5),
    ),
    ready=ready,
)
