"""Holds back what is not urgent while the PLC fails at it, so that what is urgent has the PLC to itself. Pure.

    CLOSED ──(FAILURES_MAX failures in a row)──► OPEN ──(hold over)──► TESTING
      ▲                                           ▲                      │  one request at a time
      └───────────────(an answer)─────────────────┼──────────────────────┤
                                                  └──────(a failure)─────┘  twice the hold, up to the cap

It knows scan, read-back and command only. Connecting, the heartbeat, valve edges and the safe state never ask it. The cap
is short: a PLC that is back is read again within a second, and until then it is asked once a second.
"""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from ald.errors import LinkHeldBackError

FAILURES_MAX = 3
"""Failures in a row after which it opens."""

HOLD_BASE_NS = 250_000_000
HOLD_CAP_NS = 1_000_000_000

FAILING = frozenset({4, 5, 6, 10, 11})
"""Exceptions that say that the PLC is not able to serve now; the others answer the question."""


class Breaker(msgspec.Struct, frozen=True, kw_only=True):
    """Failures in a row, and until when requests are held back; `until_ns` is None while it is closed."""

    failures: int = 0
    until_ns: int | None = None

    @property
    def is_closed(self) -> bool:
        """True while nothing is held back."""
        return self.until_ns is None

    def holds_back(self, now_ns: int) -> bool:
        """Tell whether a request is refused now."""
        return self.until_ns is not None and now_ns < self.until_ns

    def refusal(self, host: str) -> LinkHeldBackError:
        """Return why a request is not sent."""
        return LinkHeldBackError(
            f"{host} failed {self.failures} times in a row at scans, read-backs or commands; they are held back for up to a"
            " second at a time until it answers one"
        )

    def failed(self, now_ns: int) -> Breaker:
        """Return it after one more failure."""
        failures = self.failures + 1
        if failures < FAILURES_MAX:
            return replace(self, failures=failures)
        doublings = min(failures - FAILURES_MAX, HOLD_CAP_NS.bit_length())
        hold_ns = min(HOLD_BASE_NS << doublings, HOLD_CAP_NS)
        return Breaker(failures=failures, until_ns=now_ns + hold_ns)

    def answered(self) -> Breaker:
        """Return it after an answer."""
        return self if self == CLOSED else CLOSED


CLOSED = Breaker()
