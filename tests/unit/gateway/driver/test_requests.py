"""Requests as inputs."""

import errno
import os
import socket

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ald.engine.inputs import (
    AbortAsked,
    ActionAsked,
    ClearAsked,
    ConfirmAsked,
    PlantGiven,
    RunGiven,
    SafeStateAsked,
)
from ald.engine.layout import layout_of
from ald.engine.status import driver_status
from ald.errors import InvalidInputError, RefusedError, Violation
from ald.gateway import packets
from ald.gateway.driver.requests import (
    NO_LINK,
    NO_SCAN,
    VIOLATIONS_MAX,
    check_usable,
    input_of,
    invalid,
    unwritable,
)
from ald.gateway.driver.station import Station
from ald.gateway.ring import ring_capacity
from ald.kit.lines import Lines
from ald.plant.model import (
    AddressRange,
    DataType,
    LinkSettings,
    Order,
    Parameter,
    Point,
    Table,
    digest,
)
from ald.wire import (
    PROTOCOL,
    AbortOrder,
    AbortRun,
    ActionOrder,
    Clear,
    ClearOrder,
    Confirm,
    ConfirmOrder,
    DirectRun,
    DriverReply,
    DriverRequest,
    GetStatus,
    GoSafe,
    LoadPlant,
    PlantPush,
    RunAction,
    SafeStateOrder,
    StartRun,
)
from fixtures.plants import small_plant
from unit.engine.programs import PLANT, UID, S, compiled, order, wait
from unit.engine.world import World


def push(plant=PLANT, protocol=PROTOCOL):
    return PlantPush(protocol=protocol, plant=plant, digest=digest(plant))


ORDER = order(compiled(wait(1)))


@pytest.mark.parametrize(
    ("request_", "kind"),
    [
        (LoadPlant(push=push(), confirmed=True), PlantGiven),
        (StartRun(order=ORDER), RunGiven),
        (AbortRun(uid="u", order=AbortOrder(reason="r", by="b")), AbortAsked),
        (
            DirectRun(uid="u", order=ActionOrder(action=RunAction.STOP, reason="r", by="b")),
            ActionAsked,
        ),
        (Clear(order=ClearOrder(by="b", comment="c")), ClearAsked),
        (Confirm(order=ConfirmOrder(target="t", by="b", comment="c")), ConfirmAsked),
        (GoSafe(order=SafeStateOrder(by="b", comment="c")), SafeStateAsked),
    ],
)
def test_each_request_becomes_one_input_at_the_time_it_came(request_, kind):
    given = input_of(DriverRequest(id=1, request=request_), 42, 7)
    assert isinstance(given, kind)
    assert given.at_ns == 42
    assert getattr(given, "write_spread_ns", 7) == 7


def test_asking_for_the_status_tells_the_engine_nothing():
    assert input_of(DriverRequest(id=1, request=GetStatus()), 42, None) is None


@pytest.mark.parametrize(
    "request_",
    [
        LoadPlant(push=push(protocol=99), confirmed=True),
        StartRun(order=replace(ORDER, protocol=99)),
    ],
)
def test_another_version_is_refused_by_name(request_):
    with pytest.raises(RefusedError, match="version 99"):
        input_of(DriverRequest(id=1, request=request_), 42, 7)


def test_a_plant_that_no_request_can_read_is_refused_with_the_place():
    ranges = (AddressRange(table=Table.HOLDING, first=0, last=1),)
    plant = replace(PLANT, link=replace(PLANT.link, readable=ranges))
    with pytest.raises(InvalidInputError) as error:
        input_of(DriverRequest(id=1, request=LoadPlant(push=push(plant), confirmed=True)), 42, None)
    assert any("mfc.setpoint" in text for text in invalid(error.value).violations)


@pytest.mark.requirement("SEC-02")
@pytest.mark.parametrize(
    ("place", "plant"),
    [
        ("link.max_registers", replace(PLANT, link=replace(PLANT.link, max_registers=126))),
        ("link.port", replace(PLANT, link=replace(PLANT.link, port=65536))),
        ("scan_period_ns", replace(PLANT, scan_period_ns=0)),
    ],
)
def test_a_plant_that_nobody_can_work_with_is_refused_before_it_is_kept(place, plant):
    with pytest.raises(InvalidInputError) as error:
        input_of(DriverRequest(id=1, request=LoadPlant(push=push(plant), confirmed=True)), 42, 0)
    assert any(text.startswith(place) for text in invalid(error.value).violations)


NUMBERS = st.integers(-2, 70_000)
LINKS = st.builds(
    LinkSettings,
    host=st.one_of(st.text(max_size=8), st.just("127.0.0.1")),
    port=NUMBERS,
    unit=NUMBERS,
    timeout_ns=st.integers(-1, 2**63 - 1),
    requests_in_flight=st.integers(-1, 20),
    max_registers=st.integers(-1, 130),
    max_bits=st.integers(-1, 2100),
    max_gap=NUMBERS,
    readable=st.lists(
        st.builds(AddressRange, table=st.sampled_from(Table), first=NUMBERS, last=NUMBERS),
        max_size=2,
    ).map(tuple),
    cycle_ns=NUMBERS,
)
POINTS = st.builds(
    Point,
    table=st.sampled_from(Table),
    address=NUMBERS,
    type=st.sampled_from(DataType),
    order=st.sampled_from(Order),
)


@given(LINKS, st.lists(POINTS, max_size=3), st.integers(-1, 10**9), NUMBERS, st.data())
def test_a_plant_that_is_not_refused_can_be_worked_with(link, points, period_ns, coil, data):
    parameters = tuple(
        Parameter(name=f"p{n}", component="p", point=point, unit="", scale=data.draw(st.floats()))
        for n, point in enumerate(points)
    )
    plant = replace(
        small_plant(),
        link=link,
        scan_period_ns=period_ns,
        parameters=parameters,
        valves=tuple(replace(v, coil=coil + v.number) for v in small_plant().valves),
    )
    try:
        check_usable(plant)
    except InvalidInputError:
        return
    station = Station(plant, digest(plant), Standing(), lambda: 0.5, Lines())
    assert station.wake_ns(0, None) == 0
    assert ring_capacity(plant) > 0
    layout_of(plant)
    station.close()


class Standing:
    """A clock that stands still."""

    def monotonic_ns(self):
        return 0

    def wall_ns(self):
        return 0


def test_a_full_volume_is_a_refusal_that_says_what_to_do():
    refused = unwritable(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    assert refused.reason == "VolumeUnwritable"
    assert "No space left on device" in str(refused)
    assert "enlarge it" in str(refused)


LONG = "x" * 1_000_000


@pytest.mark.parametrize(
    "request_",
    [
        AbortRun(uid=UID, order=AbortOrder(reason=LONG, by=LONG)),
        DirectRun(uid=UID, order=ActionOrder(action=RunAction.PAUSE, reason=LONG, by=LONG)),
        GoSafe(order=SafeStateOrder(by=LONG, comment=LONG)),
    ],
)
def test_however_much_is_said_an_answer_finds_room_in_the_socket(request_):
    world = World().ready().start(wait(10_000))
    told = input_of(DriverRequest(id=1, request=request_), world.now, None)
    assert told is not None
    world.give(told)
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with near, far:
        near.setblocking(False)
        for _ in range(2):
            reply = DriverReply(id=1, at_ns=1, status=driver_status(world.state, NO_LINK, NO_SCAN))
            for packet in packets.split(msgspec.msgpack.encode(reply)):
                near.send(packet)
            world.run_for(1 * S)


def test_of_a_plant_that_breaks_rules_everywhere_some_are_named():
    one = Violation(path="parameters.a", value="1", rule="is not", hint="correct it")
    found = invalid(InvalidInputError([one] * 5000)).violations
    assert found == (str(one),) * VIOLATIONS_MAX
