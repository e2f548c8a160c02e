"""Single fields: what they take, what they refuse, and what the schema says of them."""

from typing import Annotated, ClassVar

import pytest
from pydantic import Field, ValidationError

from ald.api.fields import Duration, Flag, Groups, Integer, Model, Number, Quantity, Scalar, Within


class Thing(Model):
    exactly_one: ClassVar[Groups] = (("left", "right_side"),)

    left: Integer | None = Field(None, description="Left.")
    right_side: Integer | None = Field(None, description="Right.")


class Pair(Model):
    exactly_one: ClassVar[Groups] = (("left", "right"), ("up", "down"))

    left: Integer | None = None
    right: Integer | None = None
    up: Integer | None = None
    down: Integer | None = None


class Fields(Model):
    whole: Integer = 1
    number: Number = 1.0
    flag: Flag = False
    quantity: Quantity = 1
    scalar: Scalar = 1
    timeout: Annotated[Duration, Within("10ms", "30s")] = "1s"
    quiet: Annotated[Duration, Within("10ms", "30s", cel=False)] = "1s"


def refused(**fields: object) -> str:
    with pytest.raises(ValidationError) as caught:
        Fields.model_validate(fields)
    return caught.value.errors()[0]["msg"]


def test_exactly_one_of_a_group_is_taken():
    assert Thing.model_validate({"rightSide": 2}).right_side == 2


@pytest.mark.parametrize(
    ("document", "found"), [({}, "none"), ({"left": 1, "rightSide": 2}, "left and rightSide")]
)
def test_none_or_two_of_a_group_are_refused_by_their_names(document, found):
    with pytest.raises(ValidationError, match=f"exactly one of left, rightSide; found {found}"):
        Thing.model_validate(document)


def test_one_group_is_said_as_one_of_required():
    assert Thing.model_json_schema()["oneOf"] == [
        {"required": ["left"]},
        {"required": ["rightSide"]},
    ]


def test_two_groups_stand_in_an_all_of():
    assert [len(each["oneOf"]) for each in Pair.model_json_schema()["allOf"]] == [2, 2]


@pytest.mark.parametrize("value", [True, 0, 20, 20.5, -1.5])
def test_a_quantity_is_kept_as_written(value):
    kept = Fields.model_validate({"quantity": value}).quantity
    assert kept == value
    assert type(kept) is type(value)


@pytest.mark.parametrize("value", ["40ms", True, 7, 7.5])
def test_a_scalar_is_kept_as_written(value):
    kept = Fields.model_validate({"scalar": value}).scalar
    assert kept == value
    assert type(kept) is type(value)


@pytest.mark.parametrize("value", ["20", None, [1], {"a": 1}, float("nan"), float("inf")])
def test_a_quantity_is_a_finite_number_or_a_boolean(value):
    assert "must be a number or a boolean" in refused(quantity=value)


@pytest.mark.parametrize("value", [None, [1], {"a": 1}, float("nan"), "x" * 33])
def test_a_scalar_may_also_be_a_short_text(value):
    assert "a text of at most 32 characters" in refused(scalar=value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("whole", "5"),
        ("whole", True),
        ("whole", 5.5),
        ("number", "5"),
        ("number", True),
        ("number", float("nan")),
        ("number", float("inf")),
        ("flag", 1),
        ("flag", "true"),
    ],
)
def test_nothing_is_converted_from_another_type(field, value):
    assert refused(**{field: value})


@pytest.mark.parametrize("value", ["10ms", "0.01s", "30s", "1s500ms"])
def test_bounds_of_a_duration_are_included(value):
    assert Fields.model_validate({"timeout": value}).timeout == value


@pytest.mark.parametrize("value", ["9ms", "0s", "31s", "1h"])
def test_a_duration_out_of_bounds_is_refused(value):
    assert refused(timeout=value) == "must be from 10ms to 30s"
    assert refused(quiet=value) == "must be from 10ms to 30s"


def test_a_duration_longer_than_any_is_refused_as_such():
    assert "at most 720h" in refused(timeout="721h")


def test_bounds_reach_the_api_server_unless_they_would_cost_too_much():
    properties = Fields.model_json_schema()["properties"]
    (rule,) = properties["timeout"]["x-kubernetes-validations"]
    assert rule["rule"] == "duration(self) >= duration('10ms') && duration(self) <= duration('30s')"
    assert "x-kubernetes-validations" not in properties["quiet"]


def test_unknown_fields_are_refused():
    assert refused(colour="red") == "Extra inputs are not permitted"


def test_models_are_frozen():
    with pytest.raises(ValidationError):
        Fields().__setattr__("whole", 2)
