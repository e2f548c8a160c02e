"""Structured logs: one JSON object a line on stdout, nothing else; the container runtime keeps and rotates them."""

import logging
import sys
from typing import cast

import structlog

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def configure(level: str = "info", **bound: str) -> None:
    """Send structlog's and the standard library's records to stdout as JSON; `bound` facts are in every line.

    Raises:
        KeyError: `level` is none of debug, info, warning, error.
    """
    number = _LEVELS[level.lower()]
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(number, logging.INFO))
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(**bound)


def get_logger(**bound: str) -> structlog.typing.FilteringBoundLogger:
    """Return a logger; use it as `log.info("program_started", run=…, digest=…)`."""
    return cast("structlog.typing.FilteringBoundLogger", structlog.get_logger(**bound))
