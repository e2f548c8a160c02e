"""Proof of life: a Lease that is touched here and has to come back through the watch; and the plain port that tells."""

from __future__ import annotations

import asyncio
import datetime as dt
import uuid

from aiohttp import web

from ald.controller import names
from ald.controller.apply import LEASE, Cluster, Document
from ald.controller.metrics import Metrics
from ald.controller.names import Key
from ald.errors import AldError
from ald.kit.clock import Clock
from ald.kit.log import get_logger

TOUCH_INTERVAL_S = 10.0
UNSEEN_S_MAX = 45.0
"""A touch that the API server took but the watch has not shown after this long: the watch is dead."""

TOKEN_ANNOTATION = "ald.dev/self-check"  # noqa: S105 -- the name of an annotation, not a secret
log = get_logger()


class SelfCheck:
    """Numbers its touches, so that what comes back is known for what it is."""

    def __init__(self, cluster: Cluster, lease: Key, clock: Clock, metrics: Metrics) -> None:
        self._cluster = cluster
        self._lease = lease
        self._clock = clock
        self._metrics = metrics
        self._boot = uuid.uuid4().hex[:12]
        self._sent = 0
        self._seen = 0
        self._sent_ns = 0
        self._unseen_since_ns = 0
        self._api_problem = "the API server has not been reached yet"

    def see(self, document: Document) -> None:
        """Take in the Lease as the watch shows it."""
        annotations = document["metadata"].get("annotations") or {}
        boot, _, number = str(annotations.get(TOKEN_ANNOTATION, "")).partition("-")
        if boot != self._boot or not number.isdigit():
            return
        self._seen = max(self._seen, int(number))
        if self._seen == self._sent:
            self._unseen_since_ns = 0
            took_ns = self._clock.monotonic_ns() - self._sent_ns
            self._metrics.watch_delay.set(took_ns / 1e9)

    async def touch_forever(self) -> None:
        """Touch the Lease every `TOUCH_INTERVAL_S`."""
        while True:
            await self.touch()
            await asyncio.sleep(TOUCH_INTERVAL_S)

    async def touch(self) -> None:
        """Touch the Lease once; a failure is the API server's, and no reason to restart the operator."""
        self._sent += 1
        number = self._sent
        self._sent_ns = self._clock.monotonic_ns()
        try:
            await self._cluster.apply(self._document(number))
        except AldError as error:
            self._sent -= 1
            self._api_problem = str(error)
            log.warning("self_check_not_written", error=str(error))
            return
        self._api_problem = ""
        if self._seen < number and self._unseen_since_ns == 0:
            self._unseen_since_ns = self._clock.monotonic_ns()

    def deadness(self) -> str:
        """Return why the operator should be restarted, or nothing."""
        if self._unseen_since_ns == 0:
            return ""
        unseen_s = (self._clock.monotonic_ns() - self._unseen_since_ns) / 1e9
        if unseen_s <= UNSEEN_S_MAX:
            return ""
        return f"the watch has not shown a change for {unseen_s:.0f} s"

    def unreadiness(self) -> str:
        """Return why the operator does not serve now, or nothing."""
        if self._api_problem:
            return self._api_problem
        return "" if self._seen else "the watch has not shown anything yet"

    def _document(self, number: int) -> Document:
        seconds = self._clock.wall_ns() / 1e9
        now = dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return {
            "apiVersion": LEASE.api_version,
            "kind": LEASE.kind,
            "metadata": {
                "name": self._lease.name,
                "namespace": self._lease.namespace,
                "labels": {"app.kubernetes.io/name": "ald-operator", **names.MANAGED_BY},
                "annotations": {TOKEN_ANNOTATION: f"{self._boot}-{number}"},
            },
            "spec": {"holderIdentity": self._boot, "renewTime": now},
        }


def application(check: SelfCheck, metrics: Metrics) -> web.Application:
    """Return the plain port's pages; none of them waits for anything."""

    async def livez(_: web.Request) -> web.Response:
        return _answer(check.deadness())

    async def readyz(_: web.Request) -> web.Response:
        return _answer(check.deadness() or check.unreadiness())

    async def exposition(_: web.Request) -> web.Response:
        return web.Response(
            body=metrics.text(), headers={"Content-Type": "text/plain; version=0.0.4"}
        )

    app = web.Application()
    app.router.add_get("/livez", livez)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", exposition)
    return app


def _answer(problem: str) -> web.Response:
    return web.Response(status=503 if problem else 200, text=(problem or "ok") + "\n")
