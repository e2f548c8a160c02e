"""Each construct of the schema converter on a real API server: pydantic's form is refused, ours is accepted and checks."""

from __future__ import annotations

import json
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import pytest
from pydantic import BaseModel, Field

from ald.api.crd.structural import structural
from ald.api.fields import Duration, Groups, InputName, Model, Quantity, Scalar, Within
from fixtures.apiserver import ApiServer
from fixtures.wait import eventually

pytestmark = pytest.mark.integration

GROUP = "constructs.ald.dev"


class Inner(Model):
    """An object of its own."""

    size: int = Field(3, description="Size.", ge=1)


class Const(Model):
    it: Literal[True] = Field(description="It.")


class Choice(Model):
    it: Literal["a", "b"] = Field(description="It.")


class Exclusive(Model):
    it: float = Field(description="It.", gt=0, lt=9)


class OrNull(Model):
    it: int | None = Field(None, description="It.")


class Closed(Model):
    it: Inner = Field(default_factory=Inner, description="It.")


class Map(Model):
    it: dict[InputName, int] = Field(description="It.", max_length=2)


class Number(Model):
    it: Quantity = Field(description="It.")


class Any3(Model):
    it: Scalar = Field(description="It.")


class List(Model):
    it: tuple[Inner, ...] = Field(description="It.", max_length=2, min_length=1)


class Keyed(Model):
    it: tuple[Inner, ...] = Field(
        description="It.",
        max_length=3,
        json_schema_extra={
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["size"],
        },
    )


class Timed(Model):
    it: Annotated[Duration, Within("10ms", "30s")] = Field(description="It.")


class One(Model):
    exactly_one: ClassVar[Groups] = (("left", "right"),)

    left: int | None = Field(None, description="Left.")
    right: int | None = Field(None, description="Right.")


class Two(Model):
    exactly_one: ClassVar[Groups] = (("left", "right"), ("up", "down"))

    left: int | None = Field(None, description="Left.")
    right: int | None = Field(None, description="Right.")
    up: int | None = Field(None, description="Up.")
    down: int | None = Field(None, description="Down.")


class Nest(Model):
    exactly_one: ClassVar[Groups] = (("end", "more"),)

    end: int | None = Field(None, description="End.")
    more: Nest | None = Field(None, description="More.")


class Construct(NamedTuple):
    """A model that uses one construct; `raw_is_refused` where pydantic's own schema would be."""

    model: type[BaseModel]
    good: tuple[dict[str, object], ...]
    bad: tuple[tuple[dict[str, object], str], ...]
    raw_is_refused: bool = True


CONSTRUCTS = {
    "const": Construct(Const, ({"it": True},), (({"it": False}, "spec.it: Unsupported value"),)),
    "enum": Construct(Choice, ({"it": "a"},), (({"it": "c"}, "spec.it: Unsupported value"),)),
    "exclusive": Construct(
        Exclusive,
        ({"it": 0.001}, {"it": 8.999}),
        (
            ({"it": 0}, "spec.it in body should be greater than 0"),
            ({"it": 9}, "spec.it in body should be less than 9"),
        ),
    ),
    "or-null": Construct(OrNull, ({"it": 1}, {}), (({"it": "x"}, "spec.it"),)),
    "closed": Construct(
        Closed,
        ({}, {"it": {"size": 1}}),
        (
            ({"it": {"size": 0}}, "spec.it.size"),
            ({"it": {"length": 0}}, 'unknown field "spec.it.length"'),
        ),
    ),
    "map": Construct(
        Map,
        ({"it": {"a": 1}},),
        (
            ({"it": {"a": "x"}}, "spec.it.a"),
            ({"it": {"a": 1, "b": 2, "c": 3}}, "spec.it: Too many"),
        ),
    ),
    "quantity": Construct(
        Number,
        ({"it": 1}, {"it": 1.5}, {"it": True}),
        (
            ({"it": "1"}, "spec.it"),
            ({"it": ""}, "spec.it"),
            ({"it": []}, "spec.it"),
            ({"it": [1]}, "spec.it"),
            ({"it": {}}, "spec.it"),
            ({"it": {"a": 1}}, "spec.it"),
        ),
    ),
    "scalar": Construct(
        Any3,
        ({"it": 1}, {"it": 1.5}, {"it": False}, {"it": "40ms"}),
        (({"it": "x" * 33}, "spec.it"), ({"it": [1]}, "spec.it"), ({"it": {"a": 1}}, "spec.it")),
    ),
    "list": Construct(
        List,
        ({"it": [{}]},),
        (
            ({"it": []}, "spec.it in body should have at least 1 items"),
            ({"it": [{}, {}, {}]}, "spec.it: Too many"),
            ({"it": [{"size": 1}, {"size": 0}]}, "spec.it[1].size"),
        ),
    ),
    "list-map": Construct(
        Keyed,
        ({"it": [{"size": 1}, {"size": 2}]},),
        (({"it": [{"size": 2}, {"size": 2}]}, "spec.it[1]: Duplicate value"),),
    ),
    "duration": Construct(
        Timed,
        ({"it": "10ms"}, {"it": "30s"}, {"it": "1s500ms"}),
        (
            ({"it": "9ms"}, "spec.it: Invalid value"),
            ({"it": "31s"}, "must be from 10ms to 30s"),
            ({"it": "1d"}, "spec.it"),
            ({"it": "PT1S"}, "spec.it"),
            ({"it": "200ms5"}, "spec.it"),
        ),
        raw_is_refused=False,
    ),
    "exactly-one": Construct(
        One,
        ({"left": 1}, {"right": 1}),
        (({}, "spec"), ({"left": 1, "right": 2}, '"spec" must validate one and only one schema')),
    ),
    "exactly-one-twice": Construct(
        Two,
        ({"left": 1, "up": 1}, {"right": 1, "down": 2}),
        (
            ({"left": 1}, "spec"),
            ({"left": 1, "up": 1, "down": 2}, '"spec" must validate one and only one schema'),
        ),
    ),
    "recursion": Construct(
        Nest,
        ({"end": 1}, {"more": {"end": 1}}, {"more": {"more": {"end": 1}}}),
        (
            ({"more": {"more": {"more": {"end": 1}}}}, "spec.more.more"),
            (
                {"more": {"end": 1, "more": {"end": 1}}},
                '"spec.more" must validate one and only one schema',
            ),
        ),
    ),
}


def definition(name: str, schema: object) -> dict[str, Any]:
    plural = f"{name.replace('-', '')}s"
    kind = plural.capitalize()
    root = {
        "type": "object",
        "properties": {"spec": schema},
        "required": ["spec"],
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": {"kind": kind, "plural": plural},
            "scope": "Cluster",
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": root},
                }
            ],
        },
    }


# Not of the module: a worker that comes back to it, with tests taken from another, would create all again.
@pytest.fixture(scope="session")
def constructs(apiserver: ApiServer) -> ApiServer:
    """Apply all definitions and wait until the server serves them."""
    documents = [
        definition(name, structural(each.model.model_json_schema(), recursion_max=2))
        for name, each in CONSTRUCTS.items()
    ]
    done = apiserver.kubectl(
        "create",
        "-f",
        "-",
        input=json.dumps({"apiVersion": "v1", "kind": "List", "items": documents}),
    )
    assert done.returncode == 0, done.stderr
    apiserver.has_established([f"crd/{each['metadata']['name']}" for each in documents])

    def is_served() -> bool:
        paths = apiserver.get(f"/openapi/v3/apis/{GROUP}/v1").decode()
        return all(f"/{each['spec']['names']['plural']}/" in paths for each in documents)

    eventually(is_served, within_s=30)
    return apiserver


def create(server: ApiServer, name: str, spec: object) -> tuple[int, str]:
    names = definition(name, {})["spec"]["names"]
    document = {
        "apiVersion": f"{GROUP}/v1",
        "kind": names["kind"],
        "metadata": {"generateName": "x-"},
        "spec": spec,
    }
    done = server.kubectl("create", "--dry-run=server", "-f", "-", input=json.dumps(document))
    return done.returncode, done.stderr


@pytest.mark.parametrize("name", [name for name, c in CONSTRUCTS.items() if c.raw_is_refused])
def test_the_schema_of_pydantic_itself_is_refused(apiserver, name):
    raw = definition(f"raw-{name}", CONSTRUCTS[name].model.model_json_schema())
    done = apiserver.kubectl(
        "create", "--dry-run=server", "--validate=strict", "-f", "-", input=json.dumps(raw)
    )
    assert done.returncode != 0


@pytest.mark.parametrize(
    ("name", "spec"), [(name, good) for name, c in CONSTRUCTS.items() for good in c.good], ids=str
)
def test_a_good_value_is_accepted(constructs, name, spec):
    code, said = create(constructs, name, spec)
    assert code == 0, said


@pytest.mark.parametrize(
    ("name", "spec", "message"),
    [(name, bad, message) for name, c in CONSTRUCTS.items() for bad, message in c.bad],
    ids=str,
)
def test_a_bad_value_is_refused_with_its_path(constructs, name, spec, message):
    code, said = create(constructs, name, spec)
    assert code != 0
    assert message in said
