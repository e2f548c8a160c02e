"""Database, stream and PLC gone for minutes while the rest works: reconnected unaided, and the record is whole, each scan once and in order.

Minutes become tries: as many as they hold at the shortest waits that the back-off may give. For that the waits between two
tries are a fiftieth of the product's, a safe state counts as not confirmed after two seconds instead of ten, and everything else
is as it is. Whoever comes to what is gone is broken off and counted. That the real back-off tries again within half a minute is
a matter of its bounds.
"""

import dataclasses

import pytest

from ald.logger import follower, keeper
from ald.plc import link
from ald.records.event import MachineState, RunOutcome
from ald.store import database as store
from ald.wire import DriverStatus
from fixtures.processes import RECIPE, Processes
from fixtures.wait import eventually
from fixtures.ways import Way
from fixtures.whole_record import check_whole
from integration.system_runs import check_nothing_missing, under_way

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

BACK_S = 30.0
"""Whatever was gone is in use again by then."""

LOGGER = """
from ald.logger import app, follower, keeper
for waiting in (follower, keeper):
    waiting.RETRY_BASE_S /= 50
    waiting.RETRY_CAP_S /= 50
raise SystemExit(app.main())
"""
DRIVER = """
import sys
from ald.engine import safing
from ald.gateway.driver import app
from ald.plc import link
safing.CONFIRM_NS = 2_000_000_000
link.RECONNECT_BASE_S /= 50
link.RECONNECT_CAP_S /= 50
sys.exit(app.main())
"""
CYCLES = 12


def tries(minutes: float, base_s: float, cap_s: float) -> int:
    """Return how often something may be tried in this time: waits that double up to the cap, the jitter halving each."""
    left_s, wait_s, count = minutes * 60, base_s, 0
    while left_s > 0:
        left_s -= wait_s / 2
        wait_s = min(cap_s, 2 * wait_s)
        count += 1
    return count


@dataclasses.dataclass(frozen=True)
class Cuttable:
    """The system, and what of it can be cut."""

    system: Processes
    database: Way
    stream: Way

    @property
    def driver(self) -> DriverStatus:
        driver = self.system.operator.status().driver
        assert driver is not None
        return driver

    def logger_is_ready(self) -> bool:
        return self.system.logger.plain("/readyz")[0] == 200

    def stored(self) -> int:
        """Return how far the history has come."""
        return self.system.count("SELECT coalesce(max(position), 0) FROM feeds")


@pytest.fixture
def cuttable(unstarted: Processes, postgres, make_way) -> Cuttable:
    """The system, ready for a run, with a logger and a driver that try again sooner."""
    system = unstarted
    database = make_way(postgres.port)
    stream = make_way(int(system.front.environment["ALD_HTTPS_PORT"]))
    environment = system.logger.environment
    system.logger.environment = environment | {
        "ALD_DATABASE_URL": environment["ALD_DATABASE_URL"].replace(
            f":{postgres.port}/", f":{database.port}/"
        ),
        "ALD_GATEWAYS": environment["ALD_GATEWAYS"].replace(f":{stream.target}", f":{stream.port}"),
    }
    system.logger.program = ("-c", LOGGER)
    system.driver.program = ("-c", DRIVER)
    return Cuttable(system.start(), database, stream)


def out_for(way: Way, count: int) -> None:
    """Cut a way until so many tries have failed at it."""
    before = way.tried
    way.cut()
    eventually(lambda: way.tried >= before + count, within_s=60)


@pytest.mark.requirement("FI-RD-02")
def test_a_database_gone_for_five_minutes_is_in_use_again_and_has_every_scan(cuttable: Cuttable):
    uid = under_way(cuttable.system, CYCLES)
    out_for(cuttable.database, tries(5, keeper.RETRY_BASE_S, keeper.RETRY_CAP_S))
    assert "database: not ok" in cuttable.system.logger.plain("/readyz")[1]
    assert len(cuttable.system.logger.said("database_not_ready")) <= 3, "a change is said once"
    before = cuttable.stored()
    cuttable.database.mend()
    eventually(cuttable.logger_is_ready, within_s=BACK_S)
    eventually(lambda: cuttable.stored() > before, within_s=BACK_S)
    check_nothing_missing(cuttable.system, uid, CYCLES)


@pytest.mark.requirement("FI-RD-03")
def test_a_stream_gone_for_a_minute_is_in_use_again_and_has_every_scan(cuttable: Cuttable):
    uid = under_way(cuttable.system, CYCLES)
    out_for(cuttable.stream, tries(1, follower.RETRY_BASE_S, follower.RETRY_CAP_S))
    assert "lab/demo-reactor: not ok" in cuttable.system.logger.plain("/readyz")[1]
    before = cuttable.stored()
    cuttable.stream.mend()
    eventually(lambda: cuttable.stored() > before, within_s=BACK_S)
    check_nothing_missing(cuttable.system, uid, CYCLES)
    assert "lab/demo-reactor: ok" in cuttable.system.logger.plain("/readyz")[1]


@pytest.mark.requirement("FI-RD-04")
@pytest.mark.parametrize("is_on", [False, True], ids=["at rest", "in a run"])
def test_everything_gone_at_once_is_in_use_again_without_anybody_doing_anything(
    cuttable: Cuttable, is_on: bool
):
    system = cuttable.system
    uid = (
        under_way(system, CYCLES)
        if is_on
        else system.operator.completed(RECIPE, within_s=30, cycles=2)
    )
    failed = cuttable.driver.link.failed_connects
    before = cuttable.database.tried
    system.simulator.faults(refuse=True, drop=True)
    cuttable.stream.cut()
    cuttable.database.cut()
    to_plc = tries(3, link.RECONNECT_BASE_S, link.RECONNECT_CAP_S)
    to_database = tries(3, keeper.RETRY_BASE_S, keeper.RETRY_CAP_S)
    eventually(lambda: cuttable.driver.link.failed_connects >= failed + to_plc, within_s=60)
    eventually(lambda: cuttable.database.tried >= before + to_database, within_s=60)
    if is_on:
        # As after any outage that is longer than the safe state may take.
        eventually(lambda: cuttable.driver.state is MachineState.ABORTED, within_s=30)

    system.simulator.faults(refuse=False)
    cuttable.stream.mend()
    cuttable.database.mend()
    eventually(lambda: cuttable.driver.link.connected, within_s=BACK_S)
    eventually(cuttable.logger_is_ready, within_s=BACK_S)
    scanned = cuttable.driver.scan.sequence
    eventually(lambda: cuttable.driver.scan.sequence > scanned, within_s=BACK_S)
    if is_on:
        # In use again without anybody; that somebody looks before the next run is the machine's safety.
        assert system.operator.ended(uid, within_s=10).outcome is RunOutcome.LINK_LOST
        assert cuttable.driver.state is MachineState.ABORTED
        assert system.open_valves() == []
        system.operator.clear()
    system.operator.idle()
    following = system.operator.completed(RECIPE, within_s=30, cycles=2)
    for each in (uid, following):
        check_whole(system, each)
    assert system.simulator.overlaps() == []


def test_what_is_gone_is_tried_again_well_within_half_a_minute():
    logger_s = max(keeper.RETRY_CAP_S, follower.RETRY_CAP_S) + store.CONNECT_TIMEOUT_S
    assert logger_s < BACK_S
    assert link.RECONNECT_CAP_S < BACK_S
