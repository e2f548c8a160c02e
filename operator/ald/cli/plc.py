"""Reads from a PLC, one at a time, for a person who waits. There is nothing here that writes."""

from __future__ import annotations

import contextlib
import select
from typing import TYPE_CHECKING

from ald.errors import LinkDownError, ModbusExceptionError
from ald.plc.connection import Connection
from ald.plc.link import Completion, Lane, Link

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ald.kit.clock import Clock
    from ald.plant.model import LinkSettings
    from ald.plc.request import Read

WAIT_MS_MAX = 100
"""Longest sleep of the loop; everything due wakes it earlier."""


class Reader:
    """A connection to a PLC."""

    def __init__(self, settings: LinkSettings, clock: Clock) -> None:
        self._clock = clock
        self._link = Link(settings, lambda: 0.5)
        self._connection = Connection(self._link, clock.monotonic_ns)
        self._token = 0

    def connect(self) -> int:
        """Connect, and return how long that took, in ns.

        Raises:
            LinkDownError: it does not work.
        """
        begin_ns = self._clock.monotonic_ns()
        failed = self._link.counters.failed_connects
        self._until(lambda: self._link.connected or self._link.counters.failed_connects > failed)
        if not self._link.connected:
            raise LinkDownError(self._link.message)
        return self._clock.monotonic_ns() - begin_ns

    def read(self, request: Read) -> Completion:
        """Return what came of one read; a lost connection is made anew first.

        Raises:
            LinkDownError: there is no connection any more.
        """
        if not self._link.connected:
            self.connect()
        self._token += 1
        self._link.submit(Lane.COMMAND, request, self._token, self._clock.monotonic_ns())
        found: list[Completion] = []

        def is_done() -> bool:
            found.extend(self._link.completions())
            self._link.sent()
            return bool(found)

        self._until(is_done)
        return found[0]

    def close(self) -> None:
        """Leave the PLC."""
        self._connection.close()

    def _until(self, fact: Callable[[], bool]) -> None:
        """Turn the loop until `fact` holds; the link's own deadlines bound it."""
        connection = self._connection
        connection.flush(self._clock.monotonic_ns())
        while not fact():
            poll = select.poll()
            number = connection.fileno()
            if number is not None:
                wanted = select.POLLIN | (select.POLLOUT if connection.wants_write() else 0)
                poll.register(number, wanted)
            wake_ns = self._link.next_wake_ns(self._clock.monotonic_ns())
            wait_ns = WAIT_MS_MAX * 1e6
            if wake_ns is not None:
                wait_ns = min(wait_ns, max(0, wake_ns - self._clock.monotonic_ns()))
            ready = poll.poll(wait_ns / 1e6)
            now_ns = self._clock.monotonic_ns()
            for _, events in ready:
                if events & ~select.POLLOUT:
                    connection.on_readable(now_ns)
                if events & ~select.POLLIN:
                    connection.on_writable(now_ns)
            connection.flush(self._clock.monotonic_ns())


@contextlib.contextmanager
def connected(settings: LinkSettings, clock: Clock) -> Iterator[tuple[Reader, int]]:
    """Give a connected reader and how long connecting took, in ns. Raises LinkDownError."""
    reader = Reader(settings, clock)
    try:
        yield reader, reader.connect()
    finally:
        reader.close()


def exception_code(completion: Completion) -> int | None:
    """Return the Modbus exception of a refused read, None where there was none."""
    error = completion.error
    return error.code if isinstance(error, ModbusExceptionError) else None
