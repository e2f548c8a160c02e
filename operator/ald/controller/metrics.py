"""What the operator counts. Every metric here moves."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest


class Metrics:
    """The operator's metrics in a registry of their own, so that tests can have several operators."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.reconciles = Counter(
            "ald_operator_reconciles",
            "Passes over one object, by kind and outcome (done, error)",
            ["kind", "outcome"],
            registry=self._registry,
        )
        self.runs_ended = Counter(
            "ald_operator_runs_ended",
            "Recipe runs that have ended, by reason",
            ["reason"],
            registry=self._registry,
        )
        self.runs_open = Gauge(
            "ald_operator_runs_open",
            "Recipe runs that wait or are active, by machine",
            ["namespace", "machine"],
            registry=self._registry,
        )
        self.abort = Histogram(
            "ald_operator_abort_seconds",
            "From the sight of an abort to the gateway's acknowledgement",
            buckets=(0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 30),
            registry=self._registry,
        )
        self.gateway_requests = Counter(
            "ald_operator_gateway_requests",
            "Requests to gateways, by call and outcome (ok, refused, failed)",
            ["call", "outcome"],
            registry=self._registry,
        )
        self.gateways_reachable = Gauge(
            "ald_operator_gateway_reachable",
            "1 while the gateway of a machine answers",
            ["namespace", "machine"],
            registry=self._registry,
        )
        self.watch_delay = Gauge(
            "ald_operator_watch_delay_seconds",
            "How long the last self check took from its write to its sight through the watch",
            registry=self._registry,
        )

    def text(self) -> bytes:
        """Return everything in the exposition format."""
        return generate_latest(self._registry)
