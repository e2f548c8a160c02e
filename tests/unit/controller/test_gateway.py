import errno
from types import SimpleNamespace
from typing import Any

import aiohttp
import msgspec
import pytest

from ald.controller.gateway import _parsed, _plain
from ald.errors import PeerError, RefusedError
from ald.wire import ErrorReply
from fixtures.played_gateway import gateway_status


def body(struct):
    return msgspec.json.encode(struct)


def test_a_good_answer_is_the_status():
    assert _parsed(200, body(gateway_status(None))) == gateway_status(None)


def test_a_refusal_carries_the_gateways_word_and_every_violation():
    reply = ErrorReply(reason="NotIdle", message="the machine is Held", violations=("a", "b"))
    with pytest.raises(RefusedError, match="the machine is Held; a; b") as caught:
        _parsed(409, body(reply))
    assert caught.value.reason == "NotIdle"


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_may_pass_by_itself_is_temporary(status):
    with pytest.raises(PeerError, match="later"):
        _parsed(status, body(ErrorReply(reason="DriverAway", message="later")))


def test_a_refusal_that_nobody_can_read_is_shown_as_it_came():
    with pytest.raises(RefusedError, match="<html>"):
        _parsed(404, b"<html>")


@pytest.mark.parametrize("data", [b"", b"{}", b"<html>"])
def test_an_answer_that_cannot_be_read_is_no_status(data):
    with pytest.raises(PeerError):
        _parsed(200, data)


def test_another_version_of_the_protocol_is_refused_by_name():
    with pytest.raises(PeerError, match="protocol 99"):
        _parsed(200, body(gateway_status(None, protocol=99)))


KEY: Any = SimpleNamespace(host="gateway.example", port=8443, ssl=True, is_ssl=True)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            aiohttp.ClientConnectorError(
                KEY, OSError(errno.ECONNREFUSED, "Connect call failed ('10.96.162.62', 8443)")
            ),
            "Connection refused",
        ),
        (aiohttp.ClientConnectorDNSError(KEY, OSError(-2, "x")), "its name is not known; "),
        (TimeoutError(), "no answer in time"),
        (aiohttp.ServerDisconnectedError(), "Server disconnected"),
    ],
)
def test_a_gateway_that_does_not_answer_is_told_in_plain_words(error, said):
    assert _plain(error).startswith(said)
    assert "ssl" not in _plain(error)
