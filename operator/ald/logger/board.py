"""How the logger is: one place that every part writes to, and that /readyz reads. A change of mind is logged once."""

import msgspec

from ald.kit.log import get_logger
from ald.logger.metrics import Metrics

log = get_logger()


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """Whether something is well, and why not."""

    ok: bool
    message: str


class Board:
    """Database, discovery and gateways as they are now."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self.database = Fact(ok=False, message="not reached yet")
        self.discovery = Fact(ok=False, message="no gateway is known yet")
        self.gateways: dict[str, Fact] = {}

    def set_database(self, *, ok: bool, message: str) -> None:
        fact = Fact(ok=ok, message=message)
        self._say("database", self.database, fact)
        self.database = fact
        self._metrics.database.set(int(ok))

    def set_discovery(self, *, ok: bool, message: str) -> None:
        fact = Fact(ok=ok, message=message)
        self._say("discovery", self.discovery, fact)
        self.discovery = fact

    def set_gateway(self, machine: str, *, ok: bool, message: str) -> None:
        fact = Fact(ok=ok, message=message)
        self._say("gateway", self.gateways.get(machine), fact, machine)
        self.gateways[machine] = fact
        self._metrics.connected.labels(machine).set(int(ok))

    def forget_gateway(self, machine: str) -> None:
        if self.gateways.pop(machine, None) is not None:
            self._metrics.forget(machine)

    @property
    def ready(self) -> bool:
        """Whether records can be stored. A gateway that does not answer is its own trouble, not the logger's."""
        return self.database.ok and self.discovery.ok

    def lines(self) -> str:
        """Return everything in plain words, one line each."""
        facts = {"database": self.database, "discovery": self.discovery}
        facts |= {f"gateway {name}": fact for name, fact in sorted(self.gateways.items())}
        return "".join(
            f"{name}: {'ok' if fact.ok else 'not ok'}: {fact.message}\n"
            for name, fact in facts.items()
        )

    def _say(self, part: str, before: Fact | None, now: Fact, machine: str = "") -> None:
        if before == now:
            return
        say = log.info if now.ok else log.warning
        facts = {"message": now.message} | ({"machine": machine} if machine else {})
        say(f"{part}_{'ready' if now.ok else 'not_ready'}", **facts)
