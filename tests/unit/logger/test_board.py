import structlog.testing

from ald.logger.board import Board
from ald.logger.metrics import Metrics


def board():
    return Board(Metrics())


def test_it_is_ready_when_records_can_be_stored_whatever_the_gateways_do():
    made = board()
    assert not made.ready
    made.set_database(ok=True, message="serves")
    made.set_discovery(ok=True, message="1 machines")
    made.set_gateway("lab/a", ok=False, message="cannot be reached")
    assert made.ready
    assert made.lines() == (
        "database: ok: serves\ndiscovery: ok: 1 machines\ngateway lab/a: not ok: cannot be reached\n"
    )
    made.set_database(ok=False, message="gone")
    assert not made.ready


def test_a_change_is_logged_once():
    made = board()
    with structlog.testing.capture_logs() as lines:
        for _ in range(3):
            made.set_database(ok=False, message="gone")
        made.set_database(ok=True, message="serves")
        made.set_gateway("lab/a", ok=True, message="answers")
        made.set_gateway("lab/a", ok=True, message="answers")
    assert [line["event"] for line in lines] == [
        "database_not_ready",
        "database_ready",
        "gateway_ready",
    ]


def test_a_gateway_that_is_gone_leaves_nothing_behind():
    metrics = Metrics()
    made = Board(metrics)
    made.set_gateway("lab/a", ok=True, message="answers")
    metrics.samples.labels("lab/a").inc()
    metrics.records.labels("lab/a", "scan").inc()
    metrics.failures.labels("lab/a", "gateway").inc()
    made.forget_gateway("lab/a")
    assert "lab/a" not in made.lines()
    assert b"lab/a" not in metrics.text()
    made.forget_gateway("lab/never")
