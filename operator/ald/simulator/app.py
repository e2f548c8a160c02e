"""The process: `python -m ald.simulator --machine FILE`."""

import argparse
import asyncio
import contextlib
import signal
import sys
from pathlib import Path

import yaml
from aiohttp import web

from ald.api.parse import parse_machine
from ald.errors import InvalidInputError
from ald.kit.clock import SystemClock
from ald.kit.log import configure, get_logger
from ald.plant.model import Identity, Plant
from ald.program.compile.machine import compile_machine
from ald.simulator.admin import application
from ald.simulator.plc import Plc
from ald.simulator.server import Server
from ald.simulator.trace import Stamp

LOOK_INTERVAL_S = 0.5
"""How often a PLC that nobody asks catches up, so that a tripped watchdog is logged when it happens."""


def main(arguments: list[str]) -> int:
    """Serve until SIGTERM or SIGINT; return how the process should end."""
    options = _parser().parse_args(arguments)
    configure(options.log_level)
    try:
        plant = load(options.machine)
    except (OSError, yaml.YAMLError, InvalidInputError) as error:
        print(f"{options.machine}: {error}", file=sys.stderr)  # noqa: T201 -- the message is for the person who started this
        return 2
    asyncio.run(_serve(plant, options))
    return 0


def load(path: Path) -> Plant:
    """Return the plant described by the one Machine in a YAML file, which may hold other documents.

    Raises:
        OSError: the file cannot be read.
        yaml.YAMLError: it is no YAML.
        InvalidInputError: it breaks rules of a Machine.
    """
    documents = [d for d in yaml.safe_load_all(path.read_text()) if isinstance(d, dict)]
    machines = [d for d in documents if d.get("kind") == "Machine"] or documents or [{}]
    machine = parse_machine(machines[0])
    identity = Identity(installation="simulator", namespace="", name=machine.metadata.name, uid="")
    return compile_machine(machine.spec, identity, generation=1)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ald.simulator", description=__doc__)
    parser.add_argument("--machine", type=Path, required=True, help="file with a Machine resource")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on, for both ports")
    parser.add_argument("--port", type=int, default=502, help="Modbus TCP; 0 takes a free one")
    parser.add_argument("--admin-port", type=int, default=8090, help="HTTP; 0 takes a free one")
    parser.add_argument(
        "--seed",
        type=int,
        default=1,
        help="of the sensors' noise, and of faults that leave something to chance",
    )
    parser.add_argument(
        "--log-level", default="info", choices=("debug", "info", "warning", "error")
    )
    return parser


async def _serve(plant: Plant, options: argparse.Namespace) -> None:
    clock = SystemClock()
    start = Stamp(clock.monotonic_ns(), clock.wall_ns())
    server = Server(Plc(plant, seed=options.seed, start=start), clock, options.seed)
    runner = web.AppRunner(application(server), access_log=None)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        await runner.setup()
        await web.TCPSite(runner, options.host, options.admin_port).start()
        server.listen(options.host, options.port)
        get_logger().info(
            "simulator_ready",
            machine=plant.identity.name,
            port=server.port,
            admin_port=runner.addresses[0][1],
        )
        await _watch(server, stop)
    finally:
        server.close()
        await runner.cleanup()


async def _watch(server: Server, stop: asyncio.Event) -> None:
    """Log each trip of the watchdog until the end."""
    trips = 0
    while not stop.is_set():
        if not server.faults.freeze:
            server.plc.advance(server.clock.monotonic_ns())
        if server.plc.watchdog.trips != trips:
            trips = server.plc.watchdog.trips
            get_logger().warning("watchdog_tripped", trips=trips)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_INTERVAL_S):
                await stop.wait()
