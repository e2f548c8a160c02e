"""The operator's process: kopf for the watch, our tasks beside it in the same loop, the plain port."""

from __future__ import annotations

import asyncio

import kopf
from aiohttp import web

from ald.controller import handlers, manifests
from ald.controller.apply import ACTION, MACHINE, RECIPE, RUN, KubernetesCluster, connect
from ald.controller.compiler import Compiler
from ald.controller.gateway import Gateway, HttpsGateway
from ald.controller.health import SelfCheck, application
from ald.controller.keeper import Keeper
from ald.controller.metrics import Metrics
from ald.controller.names import SELF_CHECK_LEASE, Key
from ald.controller.parts import Parts
from ald.controller.settings import Settings, gateway_resources
from ald.controller.supervisor import Supervisor
from ald.controller.world import World
from ald.errors import AldError, PeerError
from ald.kit.clock import SystemClock
from ald.kit.config import load
from ald.kit.log import configure, get_logger
from ald.kit.tls import gateway_uri

DEFINITIONS_INTERVAL_S = 3.0
log = get_logger()


def main() -> int:
    """Run the operator; 0 after a signal, 2 when it cannot start as it is set, 1 after a fault of ours."""
    try:
        settings = load(Settings)
        configure(settings.log_level, process="operator")
        asyncio.run(run(settings))
    except AldError as error:
        configure()
        log.error("cannot_run", error=str(error))  # noqa: TRY400 -- a wrong setting is no bug: no trace
        return 2
    except Exception:
        log.exception("operator_crashed")
        return 1
    return 0


async def run(settings: Settings) -> None:
    """Be the operator until a signal ends it.

    Raises:
        InvalidInputError: a setting is wrong.
        PeerError: no way to an API server is configured.
    """
    resources = gateway_resources(settings)
    # Said now, and not by every machine later.
    manifests.feed_bytes(settings)
    manifests.run_bytes(resources.driver)
    metrics, clock, announcer = Metrics(), SystemClock(), handlers.KopfAnnouncer()
    cluster = await connect()
    try:
        lease = Key((settings.namespaces or (settings.operator_namespace,))[0], SELF_CHECK_LEASE)
        check = SelfCheck(cluster, lease, clock, metrics)
        keeper = Keeper(cluster, settings, clock)
        parts = Parts(
            settings=settings,
            resources=resources,
            cluster=cluster,
            world=World(),
            compiler=Compiler(settings.installation),
            keeper=keeper,
            announcer=announcer,
            metrics=metrics,
            clock=clock,
            gateway=lambda machine: _gateway(settings, machine, keeper, metrics),
        )
        supervisor = Supervisor(parts)
        runner = web.AppRunner(application(check, metrics), access_log=None)
        await runner.setup()
        await web.TCPSite(runner, port=settings.plain_port).start()
        try:
            await _definitions(cluster)
            async with asyncio.TaskGroup() as group:
                touching = group.create_task(check.touch_forever(), name="self check")
                group.create_task(supervisor.run(), name="supervisor")
                await _watch(settings, handlers.register(supervisor, check, announcer))
                touching.cancel()
                supervisor.stop()
        finally:
            await runner.cleanup()
    finally:
        await cluster.close()


async def _watch(settings: Settings, registry: kopf.OperatorRegistry) -> None:
    """Run kopf until a signal; it raises when a watch has died, and the process ends with it."""
    kopf_settings = kopf.OperatorSettings()
    handlers.configure(kopf_settings)
    await kopf.operator(
        registry=registry,
        settings=kopf_settings,
        standalone=True,
        clusterwide=not settings.namespaces,
        namespaces=settings.namespaces,
    )


async def _definitions(cluster: KubernetesCluster) -> None:
    """Wait until the API server knows our kinds; they come with a chart of their own."""
    while True:
        try:
            missing = [
                k.kind for k in (MACHINE, RECIPE, RUN, ACTION) if not await cluster.serves(k)
            ]
        except PeerError as error:
            log.warning("api_server_away", error=str(error))
        else:
            if not missing:
                return
            log.warning("definitions_missing", kinds=missing, hint="install the chart ald-crds")
        await asyncio.sleep(DEFINITIONS_INTERVAL_S)


def _gateway(settings: Settings, machine: Key, keeper: Keeper, metrics: Metrics) -> Gateway:
    url = settings.gateway_url_template.format(machine=machine.name, namespace=machine.namespace)
    identity = gateway_uri(settings.installation, *machine)
    return HttpsGateway(url, lambda: keeper.client_context(identity), metrics)
