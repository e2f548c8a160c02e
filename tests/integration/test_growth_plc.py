"""Whether the way to the PLC grows with what is asked over it, and whether parameters that are gone leave anything behind.

A day of one operation a second is 86,400 operations, three days 259,200: here they go as fast as they can, over a real socket
to libmodbus' server. Twelve hours of adding and removing parameters are some hundred plants, each read before the next comes.
"""

import contextlib
import gc
import itertools
import re
import weakref
from collections.abc import Iterator

import msgspec
import pytest
import yaml

from ald.plant.model import Plant, Table
from ald.plc.plan import NO_FACTS, plan_around
from ald.plc.request import ReadRegisters, Request, WriteRegisters
from benchmarks import peers
from benchmarks.bench_gateway import machine
from benchmarks.master import Scanning, as_the_driver
from fixtures import growth
from fixtures.growth import Growth, Watch
from fixtures.plants import parameter, plant
from fixtures.processes import Processes, watched
from fixtures.wait import eventually
from integration.link_loop import Loop, loop

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

A_DAY = 86_400
WINDOW = 16
BLOCKS = 5
"""Of each the last thousand round trips are kept: full before the first sample."""

SAMPLES = 12
WARM_UP = 1 / 6
"""Share of the operations before the first sample."""

PLANTS = 240
PUSHES = 110
"""Plants that a whole system is given."""

EVERY = 10
MANY = 60
"""Parameters that every other plant has more than the one before it."""


def reads() -> Iterator[Request]:
    return (ReadRegisters(Table.HOLDING, 10 * (n % BLOCKS), 10) for n in itertools.count())


def writes() -> Iterator[Request]:
    return (WriteRegisters(1000 + 2 * (n % 50), (n & 0xFFFF, 1)) for n in itertools.count())


def both() -> Iterator[Request]:
    return itertools.chain.from_iterable(zip(reads(), writes(), strict=True))


def work(driver: Loop, requests: Iterator[Request], count: int) -> None:
    """Have so many requests answered, a window full of them on the wire."""
    asked = answered = 0
    while answered < count:
        while asked < count and asked - answered < 2 * WINDOW:
            driver.ask(next(requests))
            asked += 1
        driver.turn()
        for completion in driver.done.values():
            assert completion.ok, completion.error
        answered += len(driver.done)
        driver.done.clear()


@pytest.mark.parametrize(
    ("asked", "count", "share_max"),
    [
        pytest.param(reads, A_DAY, 0.10, marks=pytest.mark.requirement("PLC-ML-01")),
        pytest.param(writes, A_DAY, 0.10, marks=pytest.mark.requirement("PLC-ML-02")),
        pytest.param(both, 3 * A_DAY, 0.15, marks=pytest.mark.requirement("PLC-ML-03")),
    ],
)
def test_memory_does_not_grow_with_what_is_asked(asked, count, share_max):
    requests, found = asked(), Growth(asked.__name__)
    warm_up = int(count * WARM_UP)
    each = (count - warm_up) // SAMPLES
    with (
        as_the_executor(),
        peers.server() as port,
        loop(port, timeout_s=10, window=WINDOW) as driver,
    ):
        driver.up()
        work(driver, requests, warm_up)
        found.take(0, growth.own())
        for number in range(SAMPLES):
            gc.collect(1)
            found.take(number * each, growth.own())
            work(driver, requests, each)
        assert driver.link.counters.requests == warm_up + SAMPLES * each
        assert driver.link.counters.connects == 1
    assert "\n".join(found.trends()) == ""
    assert found.share("resident", count) < share_max


@contextlib.contextmanager
def as_the_executor() -> Iterator[None]:
    """Collect no garbage but when asked to, and look only at what comes from now on."""
    with as_the_driver():
        gc.collect()
        yield


def changing(whole: Plant) -> Iterator[Plant]:
    """Yield plants for ever: every other one has parameters that no other has, at places of their own."""
    few = tuple(p for p in whole.parameters if not p.name.startswith("extra."))
    many = whole.parameters[len(few) :]
    for number in itertools.count(2):
        more = many[number % 20 :] if number % 2 else ()
        own = [msgspec.structs.replace(p, name=f"n{number}.{p.name}") for p in more]
        yield msgspec.structs.replace(whole, generation=number, parameters=(*few, *own))


def a_hundred_and_more(port: int) -> Plant:
    """Return a plant of the parameters that `changing` varies, for a server that has every address."""
    names = [f"few.p{n}" for n in range(2)] + [f"extra.v{n}" for n in range(MANY)]
    parameters = [parameter(name, Table.HOLDING, 2 * n) for n, name in enumerate(names)]
    made: Plant = plant(*parameters, scan_period_ns=10_000_000, host="127.0.0.1", port=port)
    return made


@pytest.mark.requirement("PLC-ML-04")
def test_nothing_is_left_of_the_station_of_a_plant_that_is_gone():
    found, known = Growth("stations"), set[str]()
    gone = weakref.WeakSet[object]()
    with peers.server() as port, as_the_executor():
        for number, each in enumerate(itertools.islice(changing(a_hundred_and_more(port)), PLANTS)):
            with Scanning(each) as scanning:
                station = scanning._station
                names = {times.request for times in station.figures().io_times}
                assert names == asked_of(each)
                known |= names
                gone.update((station, station._link, station._scanner))
            del scanning, station
            # As often as the executor looks, and no more thoroughly.
            gc.collect(1)
            if number >= PLANTS * WARM_UP and not number % EVERY:
                found.take(number, growth.own())
    assert len(known) >= 8, "the blocks were others each time"
    assert list(gone) == []
    assert "\n".join(found.trends()) == ""


@pytest.mark.requirement("PLC-ML-04")
def test_parameters_that_come_and_go_leave_no_trace_in_driver_front_and_logger(tmp_path, database):
    file, folder = tmp_path / "machine.yaml", tmp_path / "counted"
    folder.mkdir()
    file.write_text(yaml.safe_dump(machine(MANY, "100ms"), allow_unicode=True))
    with watched(tmp_path, database, file) as system:
        system.logger.environment["ALD_BATCH_INTERVAL_MS"] = "20"
        found = Watch(system, folder)
        system.start()
        found.settle()
        for number, each in enumerate(itertools.islice(changing(system.operator.plant), PUSHES)):
            system.operator.plant = each
            system.operator.put_plant()
            if number >= PUSHES * WARM_UP and not number % EVERY:
                eventually(lambda: caught_up(system), within_s=30)
                found.take(number)
        wanted = asked_of(system.operator.plant)
        eventually(lambda: blocks_of(system) == wanted, within_s=30)
        names = {p.name for p in system.operator.plant.parameters}
        assert system.operator.idle().plant_generation == PUSHES + 1
        current = system.sql("SELECT name FROM component_parameters WHERE valid_to IS NULL")
        assert {name for (name,) in current if not name.startswith("valve.")} == names
    assert "\n".join(found.trends()) == ""


def caught_up(system: Processes) -> bool:
    status = system.operator.status()
    return status.feed_position == status.feed_committed


def asked_of(each: Plant) -> set[str]:
    """Return the blocks that a plant is read in, as figures name them."""
    requests = (block.request for block in plan_around(each, NO_FACTS).blocks)
    blocks = {f"read {r.table.value} {r.address}+{r.count}" for r in requests}
    return blocks | ({f"read holding {each.heartbeat.address}+1"} if each.heartbeat else set())


def blocks_of(system: Processes) -> set[str]:
    """Return which blocks the front's metrics tell the round trips of."""
    text = system.front.plain("/metrics")[1]
    return set(re.findall(r'ald_plc_io_seconds_count{request="(read [^"]*)"}', text))
