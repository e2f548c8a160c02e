"""The logger's side of a gateway's feed: long polls and commits over mutual TLS."""

import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import aiohttp
import msgspec

from ald.errors import CorruptRecordError, PeerError
from ald.records.event import Event, decode_event
from ald.records.scan import Scan, decode_scan
from ald.store.database import Endpoint
from ald.store.model import Item, Undecodable
from ald.wire import LONG_POLL_S_MAX, ErrorReply, FeedBatch, FeedCommitted, FeedRecord

POLL_WAIT_S = 20.0
"""Longest wait of one poll; below what the gateway grants, so that it is the gateway who answers."""

ANSWER_TIMEOUT_S = 10.0
"""Longest time for everything but that wait."""

CONNECT_TIMEOUT_S = 5.0
REPLY_BYTES_MAX = 64 * 1024 * 1024
"""Largest batch taken; a gateway sends about 8 MiB, or one record."""

assert POLL_WAIT_S <= LONG_POLL_S_MAX

_BATCH = msgspec.msgpack.Decoder(FeedBatch)


class GatewayClient:
    """One gateway. Every method raises PeerError when the gateway is away, slow, or answers nonsense."""

    def __init__(
        self, endpoint: Endpoint, session: aiohttp.ClientSession, tls: ssl.SSLContext
    ) -> None:
        self._endpoint = endpoint
        self._session = session
        self._tls = tls

    async def poll(self, after: int, records_max: int) -> FeedBatch:
        """Return the records behind a position, as soon as there are some or `POLL_WAIT_S` have passed."""
        query = {"after": str(after), "max": str(records_max), "wait": str(POLL_WAIT_S)}
        timeout_s = POLL_WAIT_S + ANSWER_TIMEOUT_S
        async with self._request("GET", "/v1/feed", timeout_s, params=query) as response:
            if (response.content_length or 0) > REPLY_BYTES_MAX:
                raise PeerError(f"a batch of {response.content_length} bytes is too large")
            body = await response.read()
        try:
            batch = _BATCH.decode(body)
        except msgspec.DecodeError as error:
            raise PeerError(f"the feed's answer is none: {error}") from error
        check_order(batch.records, after)
        return batch

    async def committed(self, feed: str, position: int) -> None:
        """Tell the gateway that everything up to a position is stored for good."""
        body = msgspec.json.encode(FeedCommitted(feed=feed, position=position))
        async with self._request("POST", "/v1/feed/committed", ANSWER_TIMEOUT_S, data=body):
            pass

    @asynccontextmanager
    async def _request(
        self,
        method: str,
        path: str,
        timeout_s: float,
        *,
        params: dict[str, str] | None = None,
        data: bytes | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        try:
            async with self._session.request(
                method,
                self._endpoint.url + path,
                params=params,
                data=data,
                headers={"Content-Type": "application/json"} if data else None,
                ssl=self._tls,
                timeout=aiohttp.ClientTimeout(total=timeout_s, sock_connect=CONNECT_TIMEOUT_S),
            ) as response:
                if response.status >= 300:
                    raise PeerError(await _refusal(response))
                yield response
        except TimeoutError as error:
            raise PeerError(f"no answer within {timeout_s:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise PeerError(f"cannot be reached: {error}") from error


def check_order(records: Sequence[FeedRecord], after: int) -> None:
    """Look whether positions ascend from behind `after`.

    Raises:
        PeerError: they do not.
    """
    previous = after
    for record in records:
        if record.position <= previous:
            raise PeerError(f"the feed's position {record.position} follows {previous}")
        previous = record.position


def item(record: FeedRecord) -> Item:
    """Return a record decoded; one that cannot be is kept with the reason."""
    return Item(
        position=record.position,
        session=record.session,
        kind=record.kind,
        body=record.body,
        content=_content(record),
    )


def _content(record: FeedRecord) -> Scan | Event | Undecodable:
    try:
        if record.kind == "scan":
            return decode_scan(record.body)
        if record.kind == "event":
            return decode_event(record.body)
    except (CorruptRecordError, msgspec.DecodeError) as error:
        return Undecodable(reason=str(error))
    return Undecodable(reason=f"records of kind {record.kind} are not known to this version")


async def _refusal(response: aiohttp.ClientResponse) -> str:
    """Return why a gateway refused, in its own words where it has some."""
    body = await response.content.read(4096)
    try:
        reply = msgspec.json.decode(body, type=ErrorReply)
    except msgspec.DecodeError:
        return f"answers {response.status}"
    return f"refuses: {reply.message} ({reply.reason})"
