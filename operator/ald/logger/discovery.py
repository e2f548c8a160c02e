"""Which gateways there are: the Machines of the API server, listed and watched, read only."""

import asyncio
import contextlib
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import aiohttp
from kubernetes.aio import client, config, watch
from kubernetes.aio.client.exceptions import ApiException
from kubernetes.aio.config import ConfigException

from ald.errors import PeerError
from ald.kit.backoff import delay_s
from ald.logger.board import Board
from ald.store.database import Endpoint

GROUP, VERSION, PLURAL = "ald.dev", "v1alpha1", "machines"
WATCH_S = 60
"""How long one watch lasts; the server ends it, and the next goes on from there."""

SILENCE_S = 75
"""A watch that says nothing at all for this long, not even its end, is dead."""

LIST_TIMEOUT_S = 20
RETRY_BASE_S = 1.0
RETRY_CAP_S = 30.0
GONE = 410
"""The version that a watch would begin at is no longer kept: list again."""


class Discovery:
    """Calls `on_change` with all gateways, whenever there is a change."""

    def __init__(
        self,
        namespaces: Sequence[str],
        url_template: str,
        board: Board,
        on_change: Callable[[list[Endpoint]], None],
    ) -> None:
        self._scopes = tuple(namespaces) or ("",)
        self._template = url_template
        self._board = board
        self._on_change = on_change
        self._found: dict[str, dict[str, Endpoint]] = {}
        self._remembered = 0

    def stand_in(self, remembered: int) -> None:
        """Count that many gateways as followed from memory until the API server has answered."""
        self._remembered = remembered
        if not self._is_complete:
            self._board.set_discovery(
                ok=True, message=f"{remembered} remembered, the API server has not answered yet"
            )

    async def run(self) -> None:
        """Watch for ever, each namespace (or the whole cluster) by a task of its own."""
        async with asyncio.TaskGroup() as group:
            for scope in self._scopes:
                group.create_task(self._follow(scope), name=f"watch {scope or 'all'}")

    async def _follow(self, scope: str) -> None:
        attempt = 0
        while True:
            try:
                async with await _api() as api:
                    version = await self._list(api, scope)
                    attempt = 0
                    while version:
                        version = await self._watch(api, scope, version)
                await asyncio.sleep(RETRY_BASE_S)
            except PeerError as error:
                attempt += 1
                follows = bool(self._found or self._remembered)
                known = " (the known gateways are followed)" if follows else ""
                self._board.set_discovery(ok=follows, message=f"{error}{known}")
                unit = random.random()  # noqa: S311 -- spreads retries, no secret
                await asyncio.sleep(
                    delay_s(attempt, base_s=RETRY_BASE_S, cap_s=RETRY_CAP_S, unit_random=unit)
                )

    async def _list(self, api: client.ApiClient, scope: str) -> str:
        """Take over the whole list and return its version."""
        with _translated():
            call, arguments = _call(api, scope)
            listing = await call(*arguments, _request_timeout=LIST_TIMEOUT_S)
        self._found[scope] = {_key(m): self._endpoint(m) for m in listing["items"]}
        self._announce()
        return str(listing["metadata"]["resourceVersion"])

    async def _watch(self, api: client.ApiClient, scope: str, version: str) -> str:
        """Take over changes until the server ends the watch; return the version to go on from, empty to list again."""
        call, arguments = _call(api, scope)
        with _translated():
            async with watch.Watch() as watching:
                stream = watching.stream(
                    call,
                    *arguments,
                    resource_version=version,
                    timeout_seconds=WATCH_S,
                    _request_timeout=SILENCE_S,
                )
                try:
                    async for event in stream:
                        self._see(scope, event["type"], event["raw_object"])
                except ApiException as error:
                    if error.status == GONE:
                        return ""
                    raise
                return str(watching.resource_version or version)

    def _see(self, scope: str, kind: str, machine: Mapping[str, Any]) -> None:
        found = self._found[scope]
        if kind == "DELETED":
            found.pop(_key(machine), None)
        elif found.get(_key(machine)) == self._endpoint(machine):
            return
        else:
            found[_key(machine)] = self._endpoint(machine)
        self._announce()

    def _announce(self) -> None:
        if not self._is_complete:
            return
        everything = [e for part in self._found.values() for e in part.values()]
        self._board.set_discovery(ok=True, message=f"{len(everything)} machines")
        self._on_change(everything)

    @property
    def _is_complete(self) -> bool:
        """Whether every namespace has been listed."""
        return len(self._found) == len(self._scopes)

    def _endpoint(self, machine: Mapping[str, Any]) -> Endpoint:
        namespace, name = machine["metadata"]["namespace"], machine["metadata"]["name"]
        return Endpoint(
            namespace=namespace,
            name=name,
            url=self._template.format(machine=name, namespace=namespace),
        )


def _key(machine: Mapping[str, Any]) -> str:
    return f"{machine['metadata']['namespace']}/{machine['metadata']['name']}"


def _call(api: client.ApiClient, scope: str) -> tuple[Any, tuple[str, ...]]:
    """Return the call that lists Machines of a namespace, or of all, and its arguments."""
    custom = client.CustomObjectsApi(api)
    if scope:
        return custom.list_namespaced_custom_object, (GROUP, VERSION, scope, PLURAL)
    return custom.list_cluster_custom_object, (GROUP, VERSION, PLURAL)


async def _api() -> client.ApiClient:
    """Return a client by the pod's service account, or else by the user's kubeconfig.

    Raises:
        PeerError: there is neither.
    """
    configuration = client.Configuration()
    try:
        config.load_incluster_config(configuration)
    except ConfigException:
        try:
            await config.load_kube_config(client_configuration=configuration)
        except (ConfigException, OSError) as error:
            raise PeerError(f"there is no way to the API server: {error}") from error
    return client.ApiClient(configuration)


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """Turn what the client raises into PeerError."""
    try:
        yield
    except ApiException as error:
        raise PeerError(
            f"the API server refuses the list of machines: {error.status} {error.reason}"
        ) from error
    except (aiohttp.ClientError, OSError) as error:
        raise PeerError(f"the API server does not answer: {str(error) or 'timeout'}") from error
