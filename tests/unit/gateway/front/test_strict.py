import contextlib
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ald.errors import InvalidInputError
from ald.gateway.front import strict
from ald.plant.model import digest
from ald.wire import PROTOCOL, AbortOrder, PlantPush
from fixtures.plants import small_plant

PUSH = PlantPush(protocol=PROTOCOL, plant=small_plant(), digest=digest(small_plant()))


def refusal(body, kind=PlantPush):
    with pytest.raises(InvalidInputError) as raised:
        strict.decode(body, kind)
    return [f"{v.path}: {v.rule}" for v in raised.value.violations]


def with_change(change):
    raw = msgspec.to_builtins(PUSH)
    change(raw)
    return json.dumps(raw).encode()


def test_a_body_comes_out_as_it_went_in():
    assert strict.decode(msgspec.json.encode(PUSH), PlantPush) == PUSH


@pytest.mark.requirement("SEC-02")
def test_a_wrong_value_is_refused_with_its_path():
    body = with_change(lambda raw: raw["plant"]["link"].update(port="a"))
    assert refusal(body) == ["$.plant.link.port: Expected `int`, got `str`"]


@pytest.mark.requirement("SEC-02")
def test_fields_that_nobody_knows_are_refused_with_their_paths():
    def change(raw):
        raw["plant"]["parameters"][1]["pint"] = 1
        raw["extra"] = []

    assert refusal(with_change(change)) == [
        "$.extra: this field is not known",
        "$.plant.parameters[1].pint: this field is not known",
    ]


@pytest.mark.requirement("SEC-02")
@pytest.mark.parametrize("value", [2**64, -(2**63) - 1, 10**30])
def test_an_integer_that_no_record_can_hold_is_refused_with_its_path(value):
    def change(raw):
        raw["plant"].update(generation=value)

    assert refusal(with_change(change)) == ["$.plant.generation: an integer has at most 64 bits"]


@pytest.mark.requirement("SEC-02")
def test_an_integer_within_a_list_is_looked_at_too():
    def change(raw):
        raw["plant"]["parameters"][1]["point"].update(address=2**64)

    assert refusal(with_change(change)) == [
        "$.plant.parameters[1].point.address: an integer has at most 64 bits"
    ]


@pytest.mark.parametrize("value", [2**63, 2**64 - 1, -(2**63)])
def test_an_integer_that_the_driver_can_be_told_is_taken(value):
    """An input of a recipe may be 2^63."""

    def change(raw):
        raw["plant"].update(generation=value)

    taken = strict.decode(with_change(change), PlantPush)
    assert taken.plant.generation == value
    assert msgspec.msgpack.encode(taken)


@pytest.mark.requirement("SEC-02")
@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"reason": 1, "by": "x"}', b'{"by": "x"}'],
)
def test_what_is_no_such_order_is_refused(body):
    assert len(refusal(body, AbortOrder)) == 1


def test_nesting_without_end_is_refused():
    assert refusal(b"[" * 100_000, AbortOrder) == ["$: too deeply nested"]


def test_many_unknown_fields_are_not_all_listed():
    body = msgspec.json.encode({"reason": "", "by": ""} | {f"x{n}": 1 for n in range(1000)})
    assert len(refusal(body, AbortOrder)) == strict.FAULTS_MAX


@pytest.mark.requirement("SEC-02")
@given(st.binary(max_size=200))
def test_any_bytes_are_a_refusal_or_an_order(body):
    with contextlib.suppress(InvalidInputError):
        assert isinstance(strict.decode(body, AbortOrder), AbortOrder)
