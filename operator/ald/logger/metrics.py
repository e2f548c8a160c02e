"""What the logger counts; every name begins with `ald_logger_`."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

BATCH_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """One registry for one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        machine = ["machine"]
        self.batch = Histogram(
            "ald_logger_batch_seconds",
            "Time to store one batch, from its first statement to the commit.",
            buckets=BATCH_BUCKETS_S,
            registry=self.registry,
        )
        self.samples = Counter(
            "ald_logger_samples",
            "Values stored in parameter_value_history.",
            machine,
            registry=self.registry,
        )
        self.records = Counter(
            "ald_logger_records",
            "Feed records stored, scans and events.",
            [*machine, "kind"],
            registry=self.registry,
        )
        self.rejected = Counter(
            "ald_logger_dead_letters",
            "Records and rows set aside in dead_letters.",
            machine,
            registry=self.registry,
        )
        self.gap = Counter(
            "ald_logger_feed_gap_records",
            "Records that the gateway no longer had when they were asked for.",
            machine,
            registry=self.registry,
        )
        self.failures = Counter(
            "ald_logger_failures",
            "Rounds that failed, by what did not serve: gateway, database or refused.",
            [*machine, "cause"],
            registry=self.registry,
        )
        self.lag = Gauge(
            "ald_logger_feed_lag_records",
            "Records that the gateway has and the history has not.",
            machine,
            registry=self.registry,
        )
        self.stored_at = Gauge(
            "ald_logger_last_stored_timestamp_seconds",
            "When a batch was stored last, UTC seconds since 1970.",
            machine,
            registry=self.registry,
        )
        self.connected = Gauge(
            "ald_logger_gateway_connected",
            "1 while the gateway answers.",
            machine,
            registry=self.registry,
        )
        self.database = Gauge(
            "ald_logger_database_ready",
            "1 while the database serves and its schema fits.",
            registry=self.registry,
        )
        self.pool = Gauge(
            "ald_logger_pool_connections",
            "Connections to the database: open, idle, and requests that wait for one.",
            ["state"],
            registry=self.registry,
        )

    def forget(self, machine: str) -> None:
        """Drop what belongs to a machine that is no longer there."""
        per_machine = (self.samples, self.rejected, self.gap, self.lag, self.stored_at)
        for metric in (*per_machine, self.connected):
            metric.remove_by_labels({"machine": machine})
        for metric in (self.records, self.failures):
            metric.remove_by_labels({"machine": machine})

    def text(self) -> bytes:
        """Return everything in the text format."""
        return generate_latest(self.registry)
