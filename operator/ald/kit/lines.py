"""Log lines as JSON on stdout without structlog: for the driver, whose loop may import nothing heavy.

The shape is that of `ald.kit.log`: `ts` (UTC, RFC 3339), `level`, `event`, then the facts.
"""

import datetime as dt
import enum
import sys
from typing import TextIO

import msgspec

from ald.kit.clock import Clock, SystemClock


class Level(enum.IntEnum):
    """Severities, ascending."""

    DEBUG = 10
    INFO = 20
    WARNING = 30
    ERROR = 40


_ENCODER = msgspec.json.Encoder(enc_hook=str)


class Lines:
    """A logger: a constant event name, facts as keys, some of them bound once."""

    def __init__(
        self,
        level: Level = Level.INFO,
        stream: TextIO | None = None,
        clock: Clock | None = None,
        **bound: object,
    ) -> None:
        self._level = level
        self._stream = sys.stdout if stream is None else stream
        self._clock = SystemClock() if clock is None else clock
        self._bound = bound

    def bind(self, **facts: object) -> "Lines":
        """Return a logger that adds these facts to every line."""
        return Lines(self._level, self._stream, self._clock, **(self._bound | facts))

    def debug(self, event: str, **facts: object) -> None:
        """Log for developers."""
        self._write(Level.DEBUG, event, facts)

    def info(self, event: str, **facts: object) -> None:
        """Log what happened."""
        self._write(Level.INFO, event, facts)

    def warning(self, event: str, **facts: object) -> None:
        """Log what somebody should look at."""
        self._write(Level.WARNING, event, facts)

    def error(self, event: str, **facts: object) -> None:
        """Log what went wrong."""
        self._write(Level.ERROR, event, facts)

    def _write(self, level: Level, event: str, facts: dict[str, object]) -> None:
        if level < self._level:
            return
        seconds, nanos = divmod(self._clock.wall_ns(), 1_000_000_000)
        stamp = dt.datetime.fromtimestamp(seconds, dt.UTC)
        line = {
            "ts": f"{stamp:%Y-%m-%dT%H:%M:%S}.{nanos // 1000:06d}Z",
            "level": level.name.lower(),
            "event": event,
            **self._bound,
            **facts,
        }
        self._stream.write(_ENCODER.encode(line).decode() + "\n")
        self._stream.flush()
