"""From pydantic's JSON schema to a structural one, construct by construct."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import pytest
from pydantic import BaseModel, Field

from ald.api.crd.structural import UnsupportedSchemaError, structural
from ald.api.fields import Groups, Model, Quantity, Scalar


class Inner(Model):
    """An inner object."""

    size: int = Field(3, description="Size.")


class Leaf(Model):
    exactly_one: ClassVar[Groups] = (("stop", "more"),)

    stop: int | None = Field(None, description="Stop.")
    more: Branch | None = Field(None, description="More.")


class Branch(Model):
    count: int = Field(description="Count.")
    leaves: tuple[Leaf, ...] = Field(max_length=5, description="Leaves.")


Leaf.model_rebuild()


class Everything(Model):
    fixed: Literal[True] | None = Field(None, description="Const.")
    one_of: Literal["a", "b"] = Field("a", description="Enum.")
    above: float = Field(1.0, gt=0, lt=9, description="Exclusive.")
    optional: str | None = Field(None, max_length=5, description="Or null.")
    inner: Inner = Field(default_factory=Inner, description="Ref with its own words.")
    maybe: Inner | None = Field(None, description="Ref or null.")
    values: dict[str, int] = Field({}, max_length=4, description="Map.")
    quantity: Quantity | None = Field(None, description="Number or boolean.")
    scalar: Scalar | None = Field(None, description="Number, boolean or text.")
    empty: tuple[int, ...] = Field((), max_length=2, description="List.")


def properties(model: type[BaseModel], *, defaults: bool = True) -> Any:
    converted = structural(model.model_json_schema(), recursion_max=2, defaults=defaults)
    return converted["properties"]


def words(value: object):
    """Yield each key anywhere in a schema."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield key
            yield from words(each)
    elif isinstance(value, list):
        for each in value:
            yield from words(each)


def test_nothing_is_left_that_an_api_server_refuses():
    refused = {"$ref", "$defs", "const", "anyOf", "title", "discriminator", "propertyNames"}
    assert not refused & set(words(properties(Everything)))
    assert "additionalProperties" not in structural(Everything.model_json_schema(), recursion_max=1)


def test_a_constant_becomes_a_list_of_one():
    assert properties(Everything)["fixed"] == {
        "description": "Const.",
        "type": "boolean",
        "enum": [True],
    }


def test_a_choice_keeps_its_values_and_its_default():
    assert properties(Everything)["oneOf"] == {
        "description": "Enum.",
        "type": "string",
        "enum": ["a", "b"],
        "default": "a",
    }


def test_an_exclusive_bound_becomes_a_bound_and_a_mark():
    found = properties(Everything)["above"]
    assert (found["minimum"], found["exclusiveMinimum"]) == (0, True)
    assert (found["maximum"], found["exclusiveMaximum"]) == (9, True)


def test_or_null_becomes_a_field_that_may_be_left_out():
    assert properties(Everything)["optional"] == {
        "description": "Or null.",
        "type": "string",
        "maxLength": 5,
    }


def test_a_reference_is_replaced_by_what_it_names_under_its_own_description():
    assert properties(Everything)["inner"] == {
        "description": "Ref with its own words.",
        "type": "object",
        "properties": {"size": {"description": "Size.", "type": "integer", "default": 3}},
        "default": {},
    }


def test_an_object_whose_absence_means_something_gets_no_default():
    assert "default" not in properties(Everything)["maybe"]


def test_a_map_has_a_schema_for_its_values():
    assert properties(Everything)["values"]["additionalProperties"] == {"type": "integer"}


def test_a_map_with_a_pattern_for_its_keys_keeps_the_values():
    schema: Any = {
        "type": "object",
        "maxProperties": 3,
        "propertyNames": {"maxLength": 5},
        "patternProperties": {"^a$": {"type": "integer"}},
    }
    converted = structural(schema, recursion_max=1)
    assert converted == {
        "type": "object",
        "maxProperties": 3,
        "additionalProperties": {"type": "integer"},
    }


def test_several_types_in_one_field_shut_out_all_others():
    quantity, scalar = properties(Everything)["quantity"], properties(Everything)["scalar"]
    assert "type" not in quantity
    assert quantity["x-kubernetes-preserve-unknown-fields"]
    assert quantity["minItems"] > quantity["maxItems"]
    assert quantity["minProperties"] > quantity["maxProperties"]
    assert quantity["minLength"] > quantity["maxLength"]
    assert scalar["maxLength"] == 32
    assert "minLength" not in scalar


def test_empty_defaults_are_left_to_the_reader():
    assert "default" not in properties(Everything)["empty"]


def test_a_status_gets_no_defaults_at_all():
    assert "default" not in set(words(properties(Everything, defaults=False)))


def test_recursion_is_unrolled_and_its_end_offers_only_what_is_there():
    schema: Any = structural(Leaf.model_json_schema(), recursion_max=2)
    for _ in range(2):
        assert {"required": ["more"]} in schema["oneOf"]
        schema = schema["properties"]["more"]["properties"]["leaves"]["items"]
    assert set(schema["properties"]) == {"stop"}
    assert schema["oneOf"] == [{"required": ["stop"]}]


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"type": "string"}, "a: needs maxLength"),
        ({"type": "array", "items": {"type": "integer"}}, "a: needs maxItems"),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, "a: needs maxProperties"),
        ({"type": "object"}, "a: an object needs properties"),
        ({"type": "array", "maxItems": 2, "prefixItems": []}, "a: cannot say prefixItems"),
        ({"oneOf": [], "discriminator": {}}, "a: cannot say discriminator"),
        ({"anyOf": [{"type": "integer"}, {"type": "number"}]}, "a: cannot choose"),
        (
            {"type": "object", "maxProperties": 1, "additionalProperties": True},
            "a: a map has one schema",
        ),
        (
            {"type": "object", "patternProperties": {"a": {"type": "integer"}, "b": {}}},
            "a: a map has one schema",
        ),
        ({"type": "array", "maxItems": 1, "items": True}, "a: expected an object"),
    ],
)
def test_what_cannot_be_said_is_refused_with_its_path(schema, message):
    whole: Any = {"type": "object", "properties": {"a": {"description": "A."} | schema}}
    with pytest.raises(UnsupportedSchemaError, match=message):
        structural(whole, recursion_max=1)


def test_a_field_without_a_description_is_refused():
    with pytest.raises(UnsupportedSchemaError, match="a: has no description"):
        structural({"type": "object", "properties": {"a": {"type": "integer"}}}, recursion_max=1)


def test_a_schema_that_never_ends_is_refused():
    ring: Any = {
        "$ref": "#/$defs/Ring",
        "$defs": {
            "Ring": {
                "type": "object",
                "properties": {"next": {"$ref": "#/$defs/Ring", "description": "Next."}},
                "required": ["next"],
            }
        },
    }
    with pytest.raises(UnsupportedSchemaError, match="never ends"):
        structural(ring, recursion_max=1)
