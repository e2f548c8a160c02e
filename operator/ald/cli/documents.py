"""What people wrote into YAML files, as the commands take it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from ald.api.parse import parse_machine
from ald.cli.convert import text_of
from ald.errors import InvalidInputError, Violation
from ald.plant.model import Identity, Plant
from ald.program.compile.machine import compile_machine


def documents_in(path: Path) -> list[Any]:
    """Return every document of a file.

    Raises:
        InvalidInputError, NotFoundError: it is no YAML, or not there.
    """
    try:
        return list(yaml.safe_load_all(text_of(path)))
    except yaml.YAMLError as error:
        why = f"is no YAML: {' '.join(str(error).split())}"
        found = Violation(path=str(path), value="", rule=why, hint="correct it")
        raise InvalidInputError([found]) from error


def plant_of(document: Mapping[str, object]) -> Plant:
    """Return the plant of a Machine's document, which is of no installation. Raises InvalidInputError."""
    parsed = parse_machine(document)
    identity = Identity(installation="", namespace="", name=parsed.metadata.name, uid="")
    return compile_machine(parsed.spec, identity, 1)
