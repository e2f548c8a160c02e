"""The programs in C that benchmarks measure against: built when their source changed, ended with the block that uses them."""

import contextlib
import hashlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

from benchmarks.report import SAVED
from fixtures.ports import free_port

SOURCES = Path(__file__).parent
FLAGS = ("-O2", "-std=c11", "-D_POSIX_C_SOURCE=200809L", "-Wall", "-Wextra", "-Werror")
LIBMODBUS = ("-I/usr/include/modbus", "-lmodbus")
BUILD_TIMEOUT_S = 60.0
END_TIMEOUT_S = 5.0


class PeerError(Exception):
    """A program in C cannot be built or does not start."""


def build(name: str, *flags: str, folder: Path = SAVED) -> Path:
    """Return the program built from NAME.c; one that is there for this source and these flags is used again."""
    source = SOURCES / f"{name}.c"
    key = hashlib.sha256(source.read_bytes() + repr((FLAGS, flags)).encode()).hexdigest()[:16]
    program = folder / "bin" / f"{name}-{key}"
    if program.exists():
        return program
    program.parent.mkdir(parents=True, exist_ok=True)
    fresh = program.with_suffix(".new")
    try:
        made = subprocess.run(
            ["cc", *FLAGS, str(source), "-o", str(fresh), *flags],
            capture_output=True,
            text=True,
            check=False,
            timeout=BUILD_TIMEOUT_S,
        )
    except FileNotFoundError:
        raise PeerError("there is no C compiler; run hack/test-setup") from None
    if made.returncode:
        raise PeerError(f"{source.name} does not build; run hack/test-setup:\n{made.stderr}")
    fresh.rename(program)
    return program


@contextlib.contextmanager
def server() -> Iterator[int]:
    """Run libmodbus' server, and give its port."""
    port = free_port()
    with _running([str(build("modbus_server", *LIBMODBUS)), str(port)]):
        yield port


@contextlib.contextmanager
def proxy(target: int, round_trip_s: float) -> Iterator[int]:
    """Run a proxy that adds a round trip to the way to a port, and give its port."""
    port = free_port()
    program = str(build("delaying_proxy"))
    with _running([program, str(port), str(target), str(round(round_trip_s * 1e6))]):
        yield port


@contextlib.contextmanager
def _running(command: list[str]) -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            raise PeerError(f"{command[0]} does not start")
        try:
            yield process
        finally:
            process.stdin.close()
            process.wait(END_TIMEOUT_S)


class Client:
    """libmodbus' client; `reads_per_s` measures it."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def reads_per_s(self, count: int) -> float:
        """Read 125 registers `count` times, one after the other."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{count}\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise PeerError("libmodbus' client ended")
        return count * 1e9 / int(answer)


@contextlib.contextmanager
def client(port: int) -> Iterator[Client]:
    """Run libmodbus' client, connected to a port."""
    command = [str(build("modbus_client", *LIBMODBUS)), str(port)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Client(process)
