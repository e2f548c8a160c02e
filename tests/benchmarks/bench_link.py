"""Requests a second over one connection against libmodbus' own client in C and pymodbus' in Python, at the same server in C."""

import asyncio
import contextlib
import statistics
import time
from collections.abc import Iterator, Mapping

from pymodbus.client import AsyncModbusTcpClient

from ald.plant.model import Table
from ald.plc.request import ReadRegisters
from benchmarks import peers
from benchmarks.figures import Better, Figure, in_turn
from benchmarks.master import Master, as_the_driver
from benchmarks.rounds import Benchmark, Options, Round

REGISTERS = 125
READS = 1000
LAPS = 4
REQUEST = ReadRegisters(Table.HOLDING, 0, REGISTERS)


@contextlib.contextmanager
def ready(options: Options) -> Iterator[Round]:
    reads = max(20, int(READS * options.scale))
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(peers.server())
        client = stack.enter_context(peers.client(port))
        masters = {window: Master(port, window) for window in (1, 4, 8, 16)}
        for master in masters.values():
            stack.callback(master.close)
        contenders = {
            "libmodbus/s": lambda: client.reads_per_s(reads),
            "pymodbus/s": lambda: asyncio.run(_pymodbus(port, max(10, reads // 4))),
            "w1/s": lambda: masters[1].reads_per_s(REQUEST, reads),
            "w4/s": lambda: masters[4].reads_per_s(REQUEST, reads),
            "w8/s": lambda: masters[8].reads_per_s(REQUEST, reads),
            "w16/s": lambda: masters[16].reads_per_s(REQUEST, reads),
        }

        def measure(number: int) -> Mapping[str, float]:
            with as_the_driver():
                laps = in_turn(number, contenders, laps=LAPS)
            found = {name: statistics.median(values) for name, values in laps.items()}
            reference = found["libmodbus/s"]
            return {
                "ratio_w1": found["w1/s"] / reference,
                "ratio_w8": found["w8/s"] / reference,
                "pymodbus_ratio": found["pymodbus/s"] / reference,
                "ratio_w4": found["w4/s"] / reference,
                "ratio_w16": found["w16/s"] / reference,
                **found,
            }

        yield measure


async def _pymodbus(port: int, count: int) -> float:
    """Return how many reads a second pymodbus makes; it has one request in flight."""
    client = AsyncModbusTcpClient("127.0.0.1", port=port)
    assert await client.connect()
    begin_ns = time.monotonic_ns()
    for _ in range(count):
        answer = await client.read_holding_registers(0, count=REGISTERS, device_id=1)
        assert not answer.isError()
    took_ns = time.monotonic_ns() - begin_ns
    client.close()
    return count * 1e9 / took_ns


BENCHMARK = Benchmark(
    name="link",
    title="requests a second, one connection, 125 registers each",
    reference="libmodbus' client in C, one request in flight (libmodbus/s), at libmodbus' server in C",
    figures=(
        Figure(name="ratio_w1", better=Better.HIGHER, bar=0.7),
        Figure(name="ratio_w8", better=Better.HIGHER, bar=3),
        Figure(name="pymodbus_ratio", better=Better.HIGHER),
    ),
    ready=ready,
)
