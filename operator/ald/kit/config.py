"""Settings of a process: one frozen struct, read once from the environment, every variable known by name.

A field `https_port` is the variable `ALD_HTTPS_PORT`. Fields carry their meaning and unit in
`typing.Annotated[..., msgspec.Meta(description=…)]`; a field named in `secrets` is masked when printed.
"""

import os
import re
from collections.abc import Mapping
from typing import Annotated, TypeVar, get_args, get_origin

import msgspec

from ald.errors import InvalidInputError, Violation

PREFIX = "ALD_"
SettingsT = TypeVar("SettingsT", bound=msgspec.Struct)
_KUBERNETES_INJECTS = re.compile(r"_(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT(_[0-9]+_(TCP|UDP).*)?)$")
"""Service links: Kubernetes adds such variables for every Service whose name begins with `ald-`."""


def load(settings: type[SettingsT], environ: Mapping[str, str] | None = None) -> SettingsT:
    """Return the settings from `environ`, the process's own environment by default.

    Raises:
        InvalidInputError: a required variable is missing, one has the wrong type, or one with our prefix is unknown.
    """
    given = os.environ if environ is None else environ
    fields = {PREFIX + f.name.upper(): f for f in msgspec.structs.fields(settings)}
    wrong = [
        Violation(
            path=name,
            value=given[name],
            rule="this variable is not known",
            hint=f"known are {', '.join(sorted(fields))}",
        )
        for name in sorted(given)
        if name.startswith(PREFIX) and name not in fields and not _KUBERNETES_INJECTS.search(name)
    ]
    values: dict[str, object] = {}
    for name, field in fields.items():
        if name not in given:
            if field.required:
                wrong.append(
                    Violation(path=name, value="", rule="this variable is required", hint="set it")
                )
            continue
        try:
            values[field.name] = _convert(given[name], field.type)
        except msgspec.ValidationError as error:
            wrong.append(
                Violation(path=name, value=given[name][:100], rule=str(error), hint="correct it")
            )
    if wrong:
        raise InvalidInputError(wrong)
    return settings(**values)


def effective(settings: msgspec.Struct, secrets: frozenset[str] = frozenset()) -> dict[str, str]:
    """Return every setting as its variable and value, secrets masked, for printing."""
    return {
        PREFIX + f.name.upper(): (
            "********" if f.name in secrets else str(getattr(settings, f.name))
        )
        for f in msgspec.structs.fields(settings)
    }


def _convert(text: str, kind: object) -> object:
    """Return `text` as `kind`: str, int, float, bool, an enum by value, or a tuple of str separated by commas."""
    plain = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    if plain == tuple[str, ...]:
        return tuple(part.strip() for part in text.split(",") if part.strip())
    return msgspec.convert(text, kind, strict=False)
