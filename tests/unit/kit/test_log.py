"""Structured logs."""

import json
import logging

import pytest
import structlog

from ald.kit import log


def test_our_lines_and_those_of_libraries_are_json_with_the_bound_facts(
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    try:
        log.configure("info", component="logger")
        log.get_logger().info("stored", rows=3)
        logging.getLogger("library").warning("slow %s", "answer")
    finally:
        root.handlers[:], root.level = before, level
        structlog.reset_defaults()
        structlog.contextvars.clear_contextvars()
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(x["event"], x["level"], x["component"]) for x in lines] == [
        ("stored", "info", "logger"),
        ("slow answer", "warning", "logger"),
    ]
    assert lines[0]["rows"] == 3
