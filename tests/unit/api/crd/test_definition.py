"""The documents that are applied to a cluster."""

import json
from typing import Any

import pytest

from ald.api.crd.definition import definition
from ald.api.crd.kinds import KINDS

ANNOTATION_BYTES_MAX = 262_144
"""kubectl apply keeps a copy of what was applied in an annotation, and this is the most that fits."""


def of(name: str) -> Any:
    return definition(next(kind for kind in KINDS if kind.name == name))


def version(name: str) -> Any:
    (only,) = of(name)["spec"]["versions"]
    return only


def schema(name: str, *path: str) -> Any:
    found = version(name)["schema"]["openAPIV3Schema"]
    for part in path:
        found = found["items"] if part == "[]" else found["properties"][part]
    return found


@pytest.mark.parametrize("kind", [k.name for k in KINDS])
def test_every_definition_fits_the_annotation_of_kubectl_apply(kind):
    assert len(json.dumps(of(kind))) < ANNOTATION_BYTES_MAX


@pytest.mark.parametrize("kind", [k.name for k in KINDS])
def test_every_kind_is_in_the_category_and_has_a_status_of_its_own(kind):
    document = of(kind)
    assert document["spec"]["names"]["categories"] == ["ald"]
    assert version(kind)["subresources"] == {"status": {}}


@pytest.mark.parametrize("kind", [k.name for k in KINDS])
def test_every_column_leads_to_a_field_that_exists(kind):
    for column in version(kind)["additionalPrinterColumns"]:
        where = version(kind)["schema"]["openAPIV3Schema"]
        path = column["jsonPath"].replace('[?(@.type=="', ".[].").replace('")]', "")
        for part in path.strip(".").split("."):
            if part == "creationTimestamp":
                break
            if part in ("Ready", "Valid", "Succeeded"):
                assert part in where["properties"]["type"]["enum"]
                continue
            where = where["items"] if part == "[]" else where["properties"].get(part, {})
            assert where or part == "metadata", column


def test_wide_columns_are_marked():
    wide = [c["name"] for c in version("Machine")["additionalPrinterColumns"] if c.get("priority")]
    assert wide == ["Mode", "PLC"]


def test_the_name_of_a_machine_leaves_room_for_suffixes():
    assert schema("Machine", "metadata", "name")["maxLength"] == 50


def test_annotations_are_added_where_asked_for():
    document = definition(KINDS[0], {"a": "b"})
    assert document["metadata"] == {"name": "machines.ald.dev", "annotations": {"a": "b"}}
    assert "annotations" not in of("Machine")["metadata"]


def test_loops_nest_four_deep_and_no_deeper():
    path: tuple[str, ...] = ("spec", "steps", "[]")
    for _ in range(4):
        path += ("loop", "steps", "[]")
    innermost = schema("Recipe", *path)
    assert "valve" in innermost["properties"]
    assert "loop" not in innermost["properties"]
    assert {"required": ["loop"]} not in innermost["oneOf"]


def test_conditions_are_a_list_keyed_by_type_with_closed_reasons():
    for kind in KINDS:
        conditions = schema(kind.name, "status", "conditions")
        assert conditions["x-kubernetes-list-map-keys"] == ["type"]
        assert conditions["items"]["properties"]["reason"]["enum"]
