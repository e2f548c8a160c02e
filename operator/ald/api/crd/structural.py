"""From the JSON schema that pydantic writes to the structural schema that an API server accepts.

The two differ construct by construct (Kubernetes: "Specifying a structural schema"):

    pydantic                          here
    ------------------------------    ----------------------------------------------------------------
    $ref into $defs                   the definition in its place; recursion unrolled to a named depth
    anyOf: [X, null]                  X, and the field is left out instead of being null
    const: v                          enum: [v]
    exclusiveMinimum: n               minimum: n, exclusiveMinimum: true; the same for the maximum
    additionalProperties: false       nothing: a structural schema prunes, and strict requests are refused
    patternProperties: {p: X}         additionalProperties: X
    x-ald-scalars: n                  any type, with all but number, boolean and text shut out
    title, propertyNames              nothing

Whatever else it cannot say it refuses with the path, so that a new model fails in the generator and not in a cluster.
"""

from __future__ import annotations

from collections.abc import Iterable

from pydantic.config import JsonDict, JsonValue

_KEPT = (
    "description",
    "type",
    "format",
    "enum",
    "pattern",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "multipleOf",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "oneOf",
    "allOf",
    "x-kubernetes-validations",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
)
_HANDLED = (
    "$defs",
    "$ref",
    "additionalProperties",
    "anyOf",
    "const",
    "default",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "items",
    "patternProperties",
    "properties",
    "propertyNames",
    "required",
    "title",
    "x-ald-scalars",
)
_JSON_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string"}
_TYPES_SHUT_OUT: JsonDict = {
    # A list has never at least one and at most no items: only values of other types pass. `type` cannot name several.
    "minItems": 1,
    "maxItems": 0,
    "minProperties": 1,
    "maxProperties": 0,
}


class UnsupportedSchemaError(Exception):
    """A model uses what no structural schema can say, or leaves a size without a bound; the message names the path."""


def structural(schema: JsonDict, *, recursion_max: int, defaults: bool = True) -> JsonDict:
    """Return `schema` in structural form.

    A definition may stand inside itself `recursion_max` times; what needs it deeper is left out. `defaults` False leaves
    out every default, as a status wants it.

    Raises:
        UnsupportedSchemaError: the schema uses a construct without a counterpart, or has a size without a bound.
    """
    definitions = _object(schema.get("$defs", {}), "$defs")
    converted = _Converter(definitions, recursion_max, defaults=defaults).convert(schema, "", ())
    if converted is None:
        raise UnsupportedSchemaError("the schema needs itself and never ends")
    return converted


class _Converter:
    def __init__(self, definitions: JsonDict, recursion_max: int, *, defaults: bool) -> None:
        self._definitions = definitions
        self._recursion_max = recursion_max
        self._defaults = defaults

    def convert(self, schema: JsonDict, path: str, inside: tuple[str, ...]) -> JsonDict | None:
        """Return the node at `path` in structural form, or None where it needs a definition too deep inside itself."""
        resolved = self._resolve(schema, path, inside)
        if resolved is None:
            return None
        node, inside = resolved
        unknown = set(node) - set(_KEPT) - set(_HANDLED)
        if unknown:
            raise UnsupportedSchemaError(f"{path}: cannot say {', '.join(sorted(unknown))}")
        result: JsonDict = {key: node[key] for key in _KEPT if key in node}
        result.update(_const(node), **_exclusive(node), **_scalars(node))
        if self._defaults and node.get("default") not in (None, "", [], {}):
            result["default"] = node["default"]
        if "items" in node:
            items = self.convert(_object(node["items"], path), f"{path}[]", inside)
            if items is None:
                return None
            result["items"] = items
        if "properties" in node and not self._add_properties(result, node, path, inside):
            return None
        self._add_values(result, node, path, inside)
        _check_bounds(result, path)
        return result

    def _resolve(
        self, schema: JsonDict, path: str, inside: tuple[str, ...]
    ) -> tuple[JsonDict, tuple[str, ...]] | None:
        """Follow `$ref` and `anyOf` with null; what stands beside them wins over what they lead to."""
        while "$ref" in schema or "anyOf" in schema:
            beside = {key: value for key, value in schema.items() if key not in ("$ref", "anyOf")}
            if "$ref" in schema:
                name = str(schema["$ref"]).removeprefix("#/$defs/")
                if inside.count(name) > self._recursion_max:
                    return None
                inside = (*inside, name)
                target = _object(self._definitions[name], path)
            else:
                target = _not_null(schema["anyOf"], path)
            schema = {**target, **beside}
        return schema, inside

    def _add_properties(
        self, result: JsonDict, node: JsonDict, path: str, inside: tuple[str, ...]
    ) -> bool:
        """Add the fields; return False where a required one is too deep."""
        required = _list(node.get("required", []), path)
        properties: JsonDict = {}
        left_out = []
        for name, each in _object(node["properties"], path).items():
            here = f"{path}.{name}"
            converted = self.convert(_object(each, here), here, inside)
            if converted is None:
                left_out.append(name)
                continue
            if "description" not in converted:
                raise UnsupportedSchemaError(f"{here}: has no description")
            if self._wants_empty_default(converted, _object(each, here), name, required):
                converted["default"] = {}
            properties[name] = converted
        if set(left_out) & set(required):
            return False
        result["properties"] = properties
        if required:
            result["required"] = required
        if left_out and "oneOf" in result:
            result["oneOf"] = [
                each for each in _list(result["oneOf"], path) if not _requires(each, left_out)
            ]
        return True

    def _wants_empty_default(
        self, converted: JsonDict, source: JsonDict, name: str, required: Iterable[JsonValue]
    ) -> bool:
        """An object that may be left out is shown with the defaults of its fields, unless leaving it out means something."""
        return (
            self._defaults
            and "properties" in converted
            and "required" not in converted
            and "anyOf" not in source
            and name not in required
        )

    def _add_values(
        self, result: JsonDict, node: JsonDict, path: str, inside: tuple[str, ...]
    ) -> None:
        """Add the schema of a map's values."""
        patterns = _object(node.get("patternProperties", {}), path)
        values = next(iter(patterns.values()), node.get("additionalProperties", False))
        if values is False:
            return
        if len(patterns) > 1 or not isinstance(values, dict):
            raise UnsupportedSchemaError(f"{path}: a map has one schema for its values")
        converted = self.convert(values, f"{path}{{}}", inside)
        if converted is not None:
            result["additionalProperties"] = converted


def _not_null(alternatives: JsonValue, path: str) -> JsonDict:
    rest = [each for each in _list(alternatives, path) if each != {"type": "null"}]
    if len(rest) != 1:
        raise UnsupportedSchemaError(f"{path}: cannot choose between several schemas")
    return _object(rest[0], path)


def _const(node: JsonDict) -> JsonDict:
    if "const" not in node:
        return {}
    value = node["const"]
    return {"type": _JSON_TYPES[type(value)], "enum": [value]}


def _exclusive(node: JsonDict) -> JsonDict:
    result: JsonDict = {}
    for exclusive, plain in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if exclusive in node:
            result[plain] = node[exclusive]
            result[exclusive] = True
    return result


def _scalars(node: JsonDict) -> JsonDict:
    if "x-ald-scalars" not in node:
        return {}
    length = node["x-ald-scalars"]
    text: JsonDict = {"maxLength": length} if length else {"minLength": 1, "maxLength": 0}
    return {"x-kubernetes-preserve-unknown-fields": True, **_TYPES_SHUT_OUT, **text}


def _check_bounds(node: JsonDict, path: str) -> None:
    """Every size is bounded, or an object grows without end and rules over it cost too much."""
    bound = {
        "array": "maxItems",
        "string": "maxLength",
    }.get(str(node.get("type")))
    if node.get("type") == "object" and "additionalProperties" in node:
        bound = "maxProperties"
    if bound and bound not in node and "enum" not in node:
        raise UnsupportedSchemaError(f"{path}: needs {bound}")
    if node.get("type") == "object" and not {"properties", "additionalProperties"} & set(node):
        raise UnsupportedSchemaError(f"{path}: an object needs properties")


def _requires(alternative: JsonValue, names: Iterable[str]) -> bool:
    return isinstance(alternative, dict) and alternative.get("required") in [[n] for n in names]


def _object(value: JsonValue, path: str) -> JsonDict:
    if not isinstance(value, dict):
        raise UnsupportedSchemaError(f"{path}: expected an object, found {value!r}")
    return value


def _list(value: JsonValue, path: str) -> list[JsonValue]:
    if not isinstance(value, list):
        raise UnsupportedSchemaError(f"{path}: expected a list, found {value!r}")
    return value
