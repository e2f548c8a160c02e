"""What every resource model is made of: the base model and the types of single fields.

The models say what the API server can check on its own (types, ranges, patterns, exactly one of several fields); the same
models then check it again in the operator. Whatever needs a machine or an input's value is decided in `ald.program.compile`.
"""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Self

import msgspec
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    Strict,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema
from typing_extensions import override

from ald.errors import InvalidInputError
from ald.units import DURATION_PATTERN, parse_duration_ns

COMPONENT_PATTERN = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?"
NAME_PATTERN = rf"^{COMPONENT_PATTERN}$"
PARAMETER_PATTERN = rf"^{COMPONENT_PATTERN}(\.{COMPONENT_PATTERN})+$"
INPUT_PATTERN = r"^[a-zA-Z][a-zA-Z0-9-]*$"
GAS_PATTERN = r"^[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?$"

Groups = tuple[tuple[str, ...], ...]


class Model(BaseModel):
    """A frozen object of a resource: camelCase outside, snake_case inside, unknown fields refused.

    `exactly_one` lists groups of fields (as named in Python) of which exactly one must be there.
    """

    model_config = ConfigDict(
        alias_generator=to_camel, extra="forbid", frozen=True, populate_by_name=True
    )
    exactly_one: ClassVar[Groups] = ()

    @model_validator(mode="after")
    def _check_exactly_one(self) -> Self:
        for group in self.exactly_one:
            names = [to_camel(name) for name in group]
            found = [to_camel(name) for name in group if getattr(self, name) is not None]
            if len(found) != 1:
                raise PydanticCustomError(
                    "exactly_one",
                    "needs exactly one of {names}; found {found}",
                    {"names": ", ".join(names), "found": " and ".join(found) or "none"},
                )
        return self

    @classmethod
    @override
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Say `exactly_one` as `oneOf` of `required`; several groups stand in an `allOf`."""
        result = handler(schema)
        groups = [
            {"oneOf": [{"required": [to_camel(name)]} for name in group]}
            for group in cls.exactly_one
        ]
        if groups:
            handler.resolve_ref_schema(result).update(
                groups[0] if len(groups) == 1 else {"allOf": groups}
            )
        return result


class Within(msgspec.Struct, frozen=True):
    """Bounds of a duration, both included; `cel` says them to the API server too, which costs budget in long lists."""

    minimum: str
    maximum: str
    cel: bool = True

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Check the bounds after pydantic has checked the pattern."""
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Add the rule in the Common Expression Language that Kubernetes knows."""
        result = handler(schema)
        if self.cel:
            result["x-kubernetes-validations"] = [
                {
                    "rule": f"duration(self) >= duration('{self.minimum}')"
                    f" && duration(self) <= duration('{self.maximum}')",
                    "message": f"must be from {self.minimum} to {self.maximum}",
                }
            ]
        return result

    def _check(self, value: str) -> str:
        try:
            found = parse_duration_ns(value, "")
        except InvalidInputError as error:
            raise PydanticCustomError(
                "duration", "{rule}", {"rule": error.violations[0].rule}
            ) from None
        low, high = parse_duration_ns(self.minimum, ""), parse_duration_ns(self.maximum, "")
        if not low <= found <= high:
            raise PydanticCustomError(
                "duration_range",
                "must be from {minimum} to {maximum}",
                {"minimum": self.minimum, "maximum": self.maximum},
            )
        return value


class Scalars(msgspec.Struct, frozen=True):
    """A number or a boolean, or with `text_length_max` also a text, in one field.

    No structural schema can name several types; the mark `x-ald-scalars` tells the schema converter.
    """

    text_length_max: int = 0

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Check the value as it is; nothing is converted."""
        return core_schema.no_info_plain_validator_function(self._check)

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Leave the mark for the schema converter."""
        return {"x-ald-scalars": self.text_length_max}

    def _check(self, value: object) -> bool | float | str:
        if isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
            return value
        if self.text_length_max and isinstance(value, str) and len(value) <= self.text_length_max:
            return value
        kinds = "a number or a boolean"
        if self.text_length_max:
            kinds = f"a number, a boolean or a text of at most {self.text_length_max} characters"
        raise PydanticCustomError("scalar", "must be {kinds}", {"kinds": kinds})


Integer = Annotated[int, Strict()]
Number = Annotated[float, Strict(), Field(allow_inf_nan=False)]
Flag = Annotated[bool, Strict()]
Duration = Annotated[str, Field(pattern=DURATION_PATTERN, max_length=32)]
Text = Annotated[str, Field(max_length=300)]
Message = Annotated[str, Field(max_length=4096)]
Unit = Annotated[str, Field(max_length=20)]
Name = Annotated[str, Field(pattern=NAME_PATTERN, max_length=63)]
GasName = Annotated[str, Field(pattern=GAS_PATTERN, max_length=63)]
InputName = Annotated[str, Field(pattern=INPUT_PATTERN, max_length=63)]
ObjectName = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$", max_length=253)]
ParameterName = Annotated[str, Field(pattern=PARAMETER_PATTERN, max_length=100)]
Address = Annotated[int, Strict(), Field(ge=0, le=65535)]
Timestamp = Annotated[
    str,
    Field(
        pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$",
        max_length=40,
        json_schema_extra={"format": "date-time"},
    ),
]
Quantity = Annotated[bool | int | float, Scalars()]
Scalar = Annotated[bool | int | float | str, Scalars(text_length_max=32)]
