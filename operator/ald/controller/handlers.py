"""What kopf calls: it hands objects to the supervisor and returns. Nothing is decided here, and kopf writes nothing.

Only `index` and `event` handlers are used: they need no annotation and no finalizer on anybody's objects. The indices hold
nothing; they are there because kopf calls no `event` handler before every object of every indexed kind has been listed, and
a run must not be told that its recipe is missing only because it was listed first.
"""

from __future__ import annotations

import contextvars
import logging
from typing import cast

import kopf
from typing_extensions import override

from ald.controller import names
from ald.controller.announce import Announcer
from ald.controller.apply import ACTION, DEPLOYMENT, LEASE, MACHINE, RECIPE, RUN, Document, Kind
from ald.controller.health import SelfCheck
from ald.controller.supervisor import Supervisor


class KopfAnnouncer(Announcer):
    """Posts events through kopf, which knows its queue only within a handler's context; so one is kept."""

    def __init__(self) -> None:
        self._context: contextvars.Context | None = None

    def bind(self) -> None:
        """Keep the context of the handler that calls this."""
        if self._context is None:
            self._context = contextvars.copy_context()

    @override
    def post(self, document: Document, *, warning: bool, reason: str, message: str) -> None:
        kind = "Warning" if warning else "Normal"
        if self._context is not None:
            body = kopf.Body(cast("kopf.RawBody", document))
            self._context.run(kopf.event, body, type=kind, reason=reason, message=message)


def register(
    supervisor: Supervisor, check: SelfCheck, announcer: KopfAnnouncer
) -> kopf.OperatorRegistry:
    """Return the handlers of this operator."""
    registry = kopf.OperatorRegistry()

    def learn(body: kopf.Body, **_: object) -> None:
        supervisor.learn(dict(body))

    def see(event: kopf.RawEvent, **_: object) -> None:
        announcer.bind()
        document = dict(event["object"])
        if event["type"] == "DELETED":
            supervisor.see_gone(document)
        else:
            supervisor.see(document)

    def see_deployment(event: kopf.RawEvent, **_: object) -> None:
        supervisor.see_child(dict(event["object"]))

    def see_lease(event: kopf.RawEvent, **_: object) -> None:
        check.see(dict(event["object"]))

    async def stop(**_: object) -> None:
        supervisor.stop()

    def login(settings: kopf.OperatorSettings, **_: object) -> kopf.ConnectionInfo | None:
        found = kopf.login_with_service_account(settings=settings)
        return found if found is not None else kopf.login_with_kubeconfig(settings=settings)

    for kind in (MACHINE, RECIPE, RUN, ACTION):
        kopf.index(*_place(kind), id=f"learn-{kind.plural}", registry=registry)(learn)
        kopf.on.event(*_place(kind), id=f"see-{kind.plural}", registry=registry)(see)
    kopf.on.event(*_place(DEPLOYMENT), id="see-deployments", registry=registry)(see_deployment)
    kopf.on.event(*_place(LEASE), id="see-leases", registry=registry)(see_lease)
    kopf.on.cleanup(id="stop", registry=registry)(stop)
    kopf.on.login(id="login", registry=registry)(login)
    return registry


def configure(settings: kopf.OperatorSettings) -> None:
    """Set what kopf's defaults leave too long, too wide, or to others."""
    # It says of every event that its handler has succeeded.
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)
    settings.peering.standalone = True
    settings.posting.reporting_component = names.FIELD_MANAGER
    settings.networking.request_timeout = 15
    settings.networking.connect_timeout = 5
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 310
    # Definitions are installed before the operator starts, and app waits for them.
    settings.scanning.disabled = True
    # Errors of a handler of ours are our own fault; minutes of deafness would not mend them.
    settings.queueing.error_delays = (1, 2, 5, 10)
    managed = "app.kubernetes.io/managed-by=ald-operator"
    settings.watching.label_selectors["apps", "v1", "deployments"] = managed
    own = f"metadata.name={names.SELF_CHECK_LEASE}"
    settings.watching.field_selectors["coordination.k8s.io", "v1", "leases"] = own


def _place(kind: Kind) -> tuple[str, str, str]:
    group, _, version = kind.api_version.rpartition("/")
    return group, version, kind.plural
