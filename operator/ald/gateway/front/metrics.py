"""What Prometheus reads on the plain port."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.registry import Collector
from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.metrics_core import Metric

    from ald.gateway.front.board import Board
    from ald.gateway.front.journal import Journal
    from ald.wire import DriverStatus, LinkFigures


class Metrics:
    """Counters of the front, and the board's figures at the moment of asking."""

    def __init__(self, board: Board, journal: Journal) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Present(board, journal))
        self.requests = Counter(
            "ald_front_requests",
            "Requests on the HTTPS port, by route and status; 4xx and 5xx are refusals.",
            ("route", "status"),
            registry=self._registry,
        )
        self.handshakes_refused = Counter(
            "ald_front_handshakes_refused",
            "Connections without a certificate that is trusted and in date.",
            registry=self._registry,
        )

    def text(self) -> bytes:
        """Return everything in the text format."""
        return generate_latest(self._registry)


class _Present(Collector):
    def __init__(self, board: Board, journal: Journal) -> None:
        self._board = board
        self._journal = journal

    @override
    def collect(self) -> Iterator[Metric]:
        board, marks = self._board, self._board.marks
        yield _gauge("ald_journal_ok", "1 while records are being stored.", board.journal_ok)
        yield _counter("ald_pulses", "Valve openings on record.", self._journal.pulses)
        if marks is not None:
            yield _gauge("ald_feed_position", "Last position of the feed.", marks.latest)
            yield _gauge(
                "ald_feed_committed", "Last position stored by the reader.", marks.committed
            )
            waiting = marks.latest - marks.committed
            yield _gauge("ald_spool_records", "Records the reader has not stored yet.", waiting)
            yield _counter(
                "ald_spool_lost_scans", "Scans dropped before they were stored.", marks.lost
            )
        yield _gauge("ald_driver_up", "1 while the driver answers.", board.driver is not None)
        if board.driver is not None:
            yield from _of_driver(board.driver)
        if board.figures is not None:
            yield from _of_link(board.figures)


def _of_driver(status: DriverStatus) -> Iterator[Metric]:
    """Yield what the driver counts since its session began."""
    scan, link = status.scan, status.link
    yield _counter("ald_scans", "Scans made.", scan.sequence)
    yield _counter("ald_scans_late", "Scans that began late.", scan.late)
    yield _counter("ald_scans_missed", "Places on the grid that had no scan.", scan.missed)
    yield _counter("ald_scan_gaps", "Holds of runs for want of a scan for maxScanGap.", scan.gaps)
    yield _gauge(
        "ald_signals_bad", "Signals without a good value in the last scan.", scan.bad_signals
    )
    yield _gauge("ald_signals_refused", "Signals that the PLC refuses to be read.", scan.refused)
    yield _gauge("ald_plc_connected", "1 while the PLC is connected.", link.connected)
    yield _counter("ald_plc_requests", "Requests sent to the PLC.", link.requests)
    yield _counter(
        "ald_plc_timeouts", "Requests that the PLC did not answer in time.", link.timeouts
    )
    yield _counter("ald_plc_reconnects", "Connections to the PLC after the first.", link.reconnects)
    yield _gauge(
        "ald_plc_worst_valve_wait_seconds",
        "Longest wait of a valve write for the link.",
        link.worst_valve_wait_ns / 1e9,
    )
    yield _counter(
        "ald_plc_desyncs", "Answers of the PLC that did not belong to their request.", link.desyncs
    )
    yield _counter(
        "ald_plc_exceptions", "Requests that the PLC answered with an exception.", link.exceptions
    )
    yield _gauge(
        "ald_plc_held_back",
        "1 while scans are held back because the PLC fails at them.",
        link.is_holding_back,
    )
    yield _counter(
        "ald_plc_failed_connects", "Tries to connect that came to nothing.", link.failed_connects
    )


def _of_link(figures: LinkFigures) -> Iterator[Metric]:
    """Yield what the link counts by block and by lane."""
    failures = CounterMetricFamily(
        "ald_plc_failures",
        "Requests to the PLC that failed, by lane and by how: refused, timed-out, desync, held-back, lost, unsent.",
        labels=("lane", "outcome"),
    )
    for each in figures.failures:
        failures.add_metric((each.lane, each.outcome), each.count)
    yield failures
    times = HistogramMetricFamily(
        "ald_plc_io_seconds",
        "Time from a request to its answer, by block that is read and by kind of write.",
        labels=("request",),
    )
    for one in figures.io_times:
        total = tuple(itertools.accumulate(one.counts))
        bounds = [*(str(bound / 1e9) for bound in one.bounds_ns), "+Inf"]
        times.add_metric((one.request,), list(zip(bounds, total, strict=True)), one.sum_ns / 1e9)
    yield times


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(name, text, value=value)
