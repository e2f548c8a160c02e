import datetime

import msgspec

from ald.cli.values import combined
from ald.wire import GatewayStatus, SignalValue, ValuesReply
from fixtures.driver import IDLE

STATUS = GatewayStatus(
    protocol=1,
    version="0",
    revision=1,
    feed="f",
    feed_position=0,
    feed_committed=0,
    journal_ok=True,
    journal_message="",
    waiting_for="",
    driver=IDLE,
)
READ = ValuesReply(
    sequence=3,
    wall_ns=1_700_000_000_000_000_000,
    values=(SignalValue(name="a.b", value=1.0, unit="", quality="good", age_ms=1.0),),
)


def test_values_and_state_come_together():
    found = combined("reactor-1", READ, STATUS)
    assert (found.machine, found.state, found.connected) == ("reactor-1", "Idle", True)
    assert found.scanned == datetime.datetime(2023, 11, 14, 22, 13, 20, tzinfo=datetime.UTC)
    assert found.values == READ.values


def test_a_driver_that_is_away_and_a_scan_that_is_not_there_are_told():
    nothing = ValuesReply(sequence=0, wall_ns=0, values=())
    found = combined("reactor-1", nothing, msgspec.structs.replace(STATUS, driver=None))
    assert (found.state, found.message, found.connected) == (
        *("Unknown", "the driver does not answer"),
        False,
    )
    assert found.scanned is None
