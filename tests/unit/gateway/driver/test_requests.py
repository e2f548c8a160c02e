"""Requests as inputs."""

import errno
import os

import pytest
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
from ald.errors import InvalidInputError, RefusedError
from ald.gateway.driver.requests import input_of, invalid, unwritable
from ald.plant.model import AddressRange, Table, digest
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
    DriverRequest,
    GetStatus,
    GoSafe,
    LoadPlant,
    PlantPush,
    RunAction,
    SafeStateOrder,
    StartRun,
)
from unit.engine.programs import PLANT, compiled, order, wait


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


def test_a_full_volume_is_a_refusal_that_says_what_to_do():
    refused = unwritable(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    assert refused.reason == "VolumeUnwritable"
    assert "No space left on device" in str(refused)
    assert "enlarge it" in str(refused)
