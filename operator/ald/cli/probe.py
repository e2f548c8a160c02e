"""`ald machine probe`: what answers at an address, how fast, and what it could mean. Reads only."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from ald.cli.documents import documents_in, plant_of
from ald.cli.examples import examples
from ald.cli.orders import Memory, of_memory, of_plant, verdicts
from ald.cli.plc import Reader, connected, exception_code
from ald.cli.render import Output, show, show_json
from ald.cli.render_probe import Block, Probe, probe_page
from ald.cli.survey import Survey, reads_of
from ald.errors import InvalidInputError, LinkDownError, PeerError, Violation
from ald.kit.clock import SystemClock
from ald.plant.model import DataType, LinkSettings, Plant, Table
from ald.plc import codec
from ald.plc.plan import plan_reads
from ald.plc.request import ADDRESSES, Read
from ald.units import parse_duration_ns

SILENCES_MAX = 3
"""Reads in a row that may stay without any answer; then the probe ends."""

REPEAT_MAX = 1000

app = typer.Typer(add_completion=False, rich_markup_mode=None)


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """What to read where no Machine says it; every value taken for one of `type`."""

    tables: tuple[Table, ...]
    start: int
    count: int
    type: DataType


@app.command(
    epilog=examples(
        "ald machine probe 127.0.0.1 --port 1502 --table holding --start 0 --count 20",
        "ald machine probe 127.0.0.1 --port 1502 --machine examples/machines/demo-reactor.yaml",
    )
)
def probe(  # noqa: PLR0913, PLR0917 -- each parameter is one option
    host: Annotated[str, typer.Argument(help="Host name or address of the PLC.")],
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Without it the Machine's, or 502.")
    ] = None,
    unit: Annotated[
        int | None, typer.Option(min=0, max=255, help="Without it the Machine's, or 1.")
    ] = None,
    machine: Annotated[
        Path | None, typer.Option(help="A Machine, YAML: read what it would read.")
    ] = None,
    table: Annotated[
        list[Table] | None, typer.Option(help="Without a Machine: this table; all four by default.")
    ] = None,
    start: Annotated[
        int, typer.Option(min=0, max=ADDRESSES - 1, help="Without a Machine: first address.")
    ] = 0,
    count: Annotated[
        int, typer.Option(min=1, max=ADDRESSES, help="Without a Machine: addresses.")
    ] = 10,
    kind: Annotated[
        DataType, typer.Option("--type", help="Without a Machine: take registers for these.")
    ] = DataType.FLOAT32,
    repeat: Annotated[
        int, typer.Option(min=1, max=REPEAT_MAX, help="Reads of each block, for the round trip.")
    ] = 5,
    timeout: Annotated[str, typer.Option(help="Longest wait for an answer, such as 500ms.")] = "1s",
    output: Annotated[Output, typer.Option("--output", "-o", help="How to print.")] = Output.TABLE,
) -> None:
    """See what a PLC answers: blocks, round trips, and every value in all four word orders. Reads only.

    Blocks that are refused are halved until it is known which addresses answer. With a Machine, its limits show which order is
    right. Takes one of the PLC's connections while it runs. Exit code 1 where nothing answers.
    """
    clock = SystemClock()
    plant = _plant_in(machine) if machine else None
    link = plant.link if plant else LinkSettings(host=host)
    settings = msgspec.structs.replace(
        link,
        host=host,
        port=link.port if port is None else port,
        unit=link.unit if unit is None else unit,
        timeout_ns=max(1_000_000, parse_duration_ns(timeout, "--timeout")),
    )
    span = Span(tables=tuple(table or Table), start=start, count=count, type=kind)
    with connected(settings, clock) as (reader, connect_ns):
        found = look(reader, plant or span, settings, repeat)
    found = msgspec.structs.replace(found, connect_ns=connect_ns)
    if output is Output.JSON:
        show_json(found)
    else:
        show(*probe_page(found))
    if not found.blocks:
        raise PeerError(f"nothing answers at {host} port {settings.port} unit {settings.unit}")


def _plant_in(path: Path) -> Plant:
    """Return the plant of a Machine's file.

    Raises:
        InvalidInputError, NotFoundError: it is no Machine, or not there.
    """
    found = documents_in(path)
    if len(found) != 1 or not isinstance(found[0], dict):
        raise _invalid(str(path), "", "holds no Machine")
    return plant_of(found[0])


def look(reader: Reader, what: Plant | Span, settings: LinkSettings, repeat: int) -> Probe:
    """Return what the PLC answers.

    Raises:
        LinkDownError: the connection cannot be made anew.
        InvalidInputError: no request can read what is asked for.
    """
    survey = Survey(_reads(what))
    _ask(reader, survey)
    memory: Memory = {}
    blocks = []
    for read in survey.answered:
        times = [ns for _ in range(repeat) if (ns := _time(reader, read, memory)) is not None]
        blocks.append(
            Block(table=read.table, first=read.address, count=read.count, times_ns=tuple(times))
        )
    candidates = of_plant(what, memory) if isinstance(what, Plant) else of_memory(memory, what.type)
    return Probe(
        host=settings.host,
        port=settings.port,
        unit=settings.unit,
        connect_ns=0,
        blocks=tuple(blocks),
        refused=survey.refused,
        candidates=candidates,
        verdicts=verdicts(candidates),
    )


def _reads(what: Plant | Span) -> tuple[Read, ...]:
    if isinstance(what, Plant):
        return tuple(block.request for block in plan_reads(what))
    if what.start + what.count > ADDRESSES:
        raise _invalid("--count", str(what.count), f"addresses end at {ADDRESSES - 1}")
    return reads_of(what.tables, what.start, what.count)


def _ask(reader: Reader, survey: Survey) -> None:
    silences = 0
    while (read := survey.next_read()) is not None:
        completion = reader.read(read)
        if completion.ok:
            survey.is_answered(read)
        else:
            survey.is_refused(read, str(completion.error), exception_code(completion))
        silences = 0 if completion.acked_ns else silences + 1
        if silences == SILENCES_MAX:
            raise LinkDownError(
                f"{silences} reads in a row stayed without an answer ({completion.error}); "
                "check the unit number, and whether the PLC has a connection to spare"
            )


def _time(reader: Reader, read: Read, memory: Memory) -> int | None:
    """Read once more, keep the values, and return the round trip in ns; None where this one failed."""
    completion = reader.read(read)
    if not completion.ok:
        return None
    if read.table.is_bits:
        values = tuple(codec.unpack_bits(completion.data, read.count))
    else:
        values = codec.words(completion.data)
    memory.update({(read.table, read.address + n): value for n, value in enumerate(values)})
    return completion.acked_ns - completion.sent_ns


def _invalid(path: str, value: str, rule: str) -> InvalidInputError:
    return InvalidInputError([Violation(path=path, value=value, rule=rule, hint="correct it")])
