"""What is said of requests that fail in a row."""

import io
import json

import pytest

from ald.errors import LinkDownError, LinkTimeoutError, ModbusExceptionError
from ald.gateway.driver.trouble import Trouble
from ald.kit.lines import Lines
from ald.plc.link import Completion

REFUSED = ModbusExceptionError(6, 4, "exception 4")
SILENT = LinkTimeoutError("10.0.0.9 port 502 did not answer within 1 s")


def completion(error=None):
    return Completion(
        token=1, ok=error is None, error=error, data=b"", sent_ns=1, acked_ns=2, unknown=False
    )


def said(*errors):
    stream = io.StringIO()
    trouble = Trouble("heartbeat", Lines(stream=stream))
    for error in errors:
        trouble.see(completion(error))
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    return [{k: v for k, v in line.items() if k != "ts"} for line in lines]


def test_what_succeeds_is_not_worth_a_line():
    assert said(None, None) == []


@pytest.mark.requirement("PLC-BG-01")
def test_a_write_that_is_refused_is_said_once_a_series():
    assert said(REFUSED, REFUSED, REFUSED, None) == [
        {
            "level": "warning",
            "event": "plc_request_failed",
            "kind": "heartbeat",
            "how": "refused",
            "error": str(REFUSED),
        },
        {
            "level": "info",
            "event": "plc_request_succeeds_again",
            "kind": "heartbeat",
            "failed": 3,
        },
    ]


@pytest.mark.requirement("PLC-BG-02")
def test_a_write_that_times_out_is_said_once_a_series():
    assert [line["how"] for line in said(SILENT, SILENT, None, SILENT) if "how" in line] == [
        "timed-out",
        "timed-out",
    ]


def test_another_way_of_failing_is_another_series():
    lines = said(SILENT, LinkDownError("reset"), REFUSED)
    assert [line["how"] for line in lines] == ["timed-out", "lost", "refused"]
