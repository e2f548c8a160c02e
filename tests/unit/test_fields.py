"""Every field of every resource has a test that shows what it does, named in tests/fields.yaml."""

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

TESTS = Path(__file__).parents[1]
NESTED = re.compile(r"steps\[\]\.(loop|together\.branches\[\])\.steps\[\]")
NAMED: dict[str, dict[str, str]] = yaml.safe_load((TESTS / "fields.yaml").read_text())


@functools.cache
def definitions() -> dict[str, dict[str, Any]]:
    """Return the schema of each kind's spec and status."""
    found = {}
    for path in sorted((TESTS.parent / "crds").glob("*.yaml")):
        document = yaml.safe_load(path.read_text())
        (version,) = document["spec"]["versions"]
        properties = version["schema"]["openAPIV3Schema"]["properties"]
        found[document["spec"]["names"]["kind"]] = {
            part: properties[part] for part in ("spec", "status")
        }
    return found


def leaves(schema: dict[str, Any], path: str) -> Iterator[str]:
    """Yield the path of each field that holds a value, with [] for a list and {} for a map."""
    if "properties" in schema:
        for name, each in schema["properties"].items():
            yield from leaves(each, f"{path}.{name}")
    elif "items" in schema:
        yield from leaves(schema["items"], f"{path}[]")
    elif isinstance(schema.get("additionalProperties"), dict):
        yield from leaves(schema["additionalProperties"], f"{path}{{}}")
    else:
        yield path


def fields(kind: str) -> set[str]:
    """Return the fields of a kind; a step is the same in every loop, in branches and in the cleanup."""
    found = set()
    for part, schema in definitions()[kind].items():
        for path in leaves(schema, part):
            flat = path
            while NESTED.search(flat):
                flat = NESTED.sub("steps[]", flat)
            found.add(re.sub(r"^spec\.cleanup\[\].*", "spec.cleanup[]", flat))
    return found


@functools.cache
def functions(file: str) -> frozenset[str]:
    """Return the tests of a file, also those in classes."""
    path = TESTS / file
    if not path.is_file():
        return frozenset()
    return frozenset(
        node.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
    )


@pytest.mark.parametrize("kind", definitions())
def test_every_field_names_the_test_that_shows_what_it_does(kind: str) -> None:
    assert sorted(fields(kind) - set(NAMED[kind])) == []


@pytest.mark.parametrize("kind", NAMED)
def test_no_field_is_named_that_does_not_exist(kind: str) -> None:
    assert sorted(set(NAMED[kind]) - fields(kind)) == []


@pytest.mark.parametrize("kind", NAMED)
def test_every_test_that_is_named_exists(kind: str) -> None:
    missing = []
    for field, node in NAMED[kind].items():
        file, _, name = node.partition("::")
        if name not in functions(file):
            missing.append(f"{field}: {node}")
    assert missing == []


def test_the_cleanup_holds_the_same_steps() -> None:
    spec = definitions()["Recipe"]["spec"]["properties"]
    assert spec["cleanup"]["items"] == spec["steps"]["items"]
