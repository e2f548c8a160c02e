"""Says in the log when requests of one kind begin to fail, and when they succeed again: twice a series, not twice a second."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ald.errors import LinkTimeoutError, ModbusExceptionError

if TYPE_CHECKING:
    from ald.kit.lines import Lines
    from ald.plc.link import Completion


class Trouble:
    """One kind of request, such as `heartbeat`. A request that fails in another way begins another series."""

    def __init__(self, kind: str, log: Lines) -> None:
        self._kind = kind
        self._log = log
        self._series = ""
        self._count = 0

    def see(self, completion: Completion) -> None:
        """Take in what became of one request."""
        if completion.error is None:
            if self._series:
                self._log.info("plc_request_succeeds_again", kind=self._kind, failed=self._count)
            self._series, self._count = "", 0
            return
        self._count += 1
        how = _how(completion)
        if how != self._series:
            self._series = how
            self._log.warning(
                "plc_request_failed", kind=self._kind, how=how, error=str(completion.error)
            )


def _how(completion: Completion) -> str:
    match completion.error:
        case ModbusExceptionError():
            return "refused"
        case LinkTimeoutError():
            return "timed-out"
        case _:
            return "lost"
