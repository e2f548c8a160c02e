"""`ald machine from-csv`: a Machine from a register map."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from ald.cli.examples import examples
from ald.cli.from_csv import Options, machine_from_csv
from ald.cli.register_map import Mapping, kebab, read_mapping
from ald.errors import NotFoundError

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(
    epilog=examples(
        "ald machine from-csv examples/machines/reactor-map.csv --mapping examples/machines/reactor-1.mapping.yaml > machine.yaml"
    )
)
def from_csv(
    file: Annotated[Path, typer.Argument(help="The register map, CSV.")],
    mapping: Annotated[
        Path | None, typer.Option(help="What the map does not say: names, valves, sections. YAML.")
    ] = None,
    name: Annotated[
        str, typer.Option(help="Name of the Machine; without it the mapping's, or the file's.")
    ] = "",
    host: Annotated[str, typer.Option(help="Host of the PLC.")] = "",
) -> None:
    """Make a Machine from a register map: YAML on stdout, what was done to the rows on stderr.

    The columns of the map are component, parameter, table, address, type, unit, minimum, maximum, writable. The Machine is in
    mode Observe. Notes that begin with `to do` are what the operator would still refuse.
    """
    known = read_mapping(text_of(mapping)) if mapping else Mapping(name=kebab(file.stem))
    wanted = adjusted(known, name=name, host=host)
    document, notes = machine_from_csv(text_of(file), Options(source=file.name, mapping=wanted))
    sys.stdout.write(document)
    for note in notes:
        print(note, file=sys.stderr)


def adjusted(mapping: Mapping, *, name: str, host: str) -> Mapping:
    """Return the mapping with what the command line says instead."""
    spec = mapping.spec
    if host:
        plc = spec.get("plc", {})
        spec = {**spec, "plc": {**(plc if isinstance(plc, dict) else {}), "host": host}}
    return msgspec.structs.replace(mapping, name=name or mapping.name, spec=spec)


def text_of(path: Path) -> str:
    """Return the text of a file.

    Raises:
        NotFoundError: it is not there, or no text.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise NotFoundError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise NotFoundError(f"{path} is no text in UTF-8; save it as CSV UTF-8") from error
