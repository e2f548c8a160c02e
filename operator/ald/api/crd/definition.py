"""One custom resource definition as a document, ready to be written as YAML."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic.config import JsonDict, JsonValue

from ald.api.crd.kinds import Column, Kind
from ald.api.crd.structural import structural
from ald.api.fields import Model
from ald.api.meta import CATEGORY, GROUP, VERSION
from ald.api.recipe import LOOP_DEPTH_MAX


def definition(kind: Kind, annotations: Mapping[str, str] | None = None) -> JsonDict:
    """Return the CustomResourceDefinition of one kind."""
    metadata: JsonDict = {"name": kind.definition_name}
    if annotations:
        metadata["annotations"] = dict(annotations)
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": metadata,
        "spec": {
            "group": GROUP,
            "names": {
                "kind": kind.name,
                "listKind": f"{kind.name}List",
                "plural": kind.plural,
                "singular": kind.name.lower(),
                "shortNames": [kind.short],
                "categories": [CATEGORY],
            },
            "scope": "Namespaced",
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [_column(each) for each in kind.columns],
                    "schema": {"openAPIV3Schema": _schema(kind)},
                }
            ],
        },
    }


def _schema(kind: Kind) -> JsonDict:
    """Return the schema of the whole object; Kubernetes itself knows metadata, but its name may be bounded."""
    properties: JsonDict = {
        "apiVersion": {"type": "string", "description": f"Always {GROUP}/{VERSION}."},
        "kind": {"type": "string", "description": f"Always {kind.name}."},
        "metadata": {"type": "object"},
        "spec": _part(kind.model.model_fields["spec"].annotation, defaults=True),
        "status": _part(kind.status, defaults=False),
    }
    if kind.name_length_max is not None:
        name: JsonDict = {"type": "string", "maxLength": kind.name_length_max}
        properties["metadata"] = {"type": "object", "properties": {"name": name}}
    return {
        "type": "object",
        "description": kind.model.__doc__,
        "required": ["metadata", "spec"],
        "properties": properties,
    }


def _part(model: object, *, defaults: bool) -> JsonDict:
    assert isinstance(model, type)
    assert issubclass(model, Model)
    schema: JsonDict = model.model_json_schema()
    return structural(schema, recursion_max=LOOP_DEPTH_MAX, defaults=defaults)


def _column(column: Column) -> JsonDict:
    document: dict[str, JsonValue] = {
        "name": column.name,
        "type": column.type,
        "jsonPath": column.path,
    }
    if column.wide:
        document["priority"] = 1
    return document
