"""`ald run report`: what the history knows of a run, asked where the database is."""

from __future__ import annotations

import enum
import sys
import time
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from ald.cli import kubectl
from ald.cli.examples import examples
from ald.cli.render import Output, show, show_json
from ald.cli.render_report import report_page, summary_lines
from ald.errors import NotFoundError, PeerError
from ald.kit.clock import SystemClock
from ald.store.report import Report, Wanted, read_csv, read_report

if TYPE_CHECKING:
    from collections.abc import Sequence

LOGGER = "ald-logger"

CATCH_UP_TIMEOUT_S = 20.0
"""How long the history may be behind a run that has ended; it is usually half a second."""

CATCH_UP_INTERVAL_S = 0.5

app = typer.Typer(add_completion=False, rich_markup_mode=None)


class Rows(enum.Enum):
    """A table to take away."""

    PULSES = "pulses"
    SAMPLES = "samples"
    STEPS = "steps"


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where the logger is, as far as the command line says; empty: to be found out."""

    namespace: str
    operator_namespace: str


@app.command(
    epilog=examples(
        "ald run report al2o3-demo-0001 -n ald --summary",
        "ald run report al2o3-demo-0001 -n ald --pulses",
        "ald run report al2o3-demo-0001 -n ald --csv samples > samples.csv",
    )
)
def report(  # noqa: PLR0913, PLR0917 -- each parameter is one option
    name: Annotated[str, typer.Argument(help="Name or uid of the RecipeRun.")],
    namespace: Annotated[
        str, typer.Option("--namespace", "-n", help="Its namespace; without it kubectl's.")
    ] = "",
    summary: Annotated[bool, typer.Option("--summary", help="Only the main facts.")] = False,
    pulses: Annotated[bool, typer.Option("--pulses", help="Every pulse, too.")] = False,
    csv: Annotated[Rows | None, typer.Option(help="One table as CSV, and nothing else.")] = None,
    output: Annotated[Output, typer.Option("--output", "-o", help="How to print.")] = Output.TABLE,
    database: Annotated[
        str,
        typer.Option(
            envvar="ALD_DATABASE_URL", help="postgresql://…; without it the logger is asked."
        ),
    ] = "",
    local: Annotated[
        bool, typer.Option("--local", help="Ask the database from here, by PG* if by nothing else.")
    ] = False,
    operator_namespace: Annotated[
        str, typer.Option(help="Namespace of the logger; without it the run's, or the only one.")
    ] = "",
    installation: Annotated[
        str, typer.Option(envvar="ALD_INSTALLATION", help="Only runs of this installation.")
    ] = "",
) -> None:
    """Report what the history knows of a run: steps, pulses with their width errors, traces, and whether anything is missing.

    Without --database it is read through `kubectl exec` in the logger's pod. A width error is measured minus commanded time
    between the two valve writes as they left; percentiles are of its absolute value over all pulses that were not cut short.
    """
    if database or local:
        wanted = Wanted(name=name, namespace=namespace, installation=installation)
        if csv is not None:
            for piece in read_csv(database, wanted, csv.value):
                sys.stdout.buffer.write(piece)
            return
        found = read_report(database, wanted, pulses=pulses)
    else:
        place = Place(namespace=namespace, operator_namespace=operator_namespace)
        if csv is not None:
            asked = _Asked(name, place)
            kubectl.stream(asked.arguments("--csv", csv.value), asked.doing)
            return
        found = _Asked(name, place).report(pulses=pulses)
    if output is Output.JSON:
        show_json(found)
    elif summary:
        show(*summary_lines(found))
    else:
        show(*report_page(found))


class _Asked:
    """The logger's pod, asked about one run."""

    def __init__(self, name: str, place: Place) -> None:
        self._name = name
        self._namespace = place.namespace or kubectl.current_namespace()
        self._home = place.operator_namespace or kubectl.home_of(LOGGER, self._namespace)
        self.doing = f"asking the logger in namespace {self._home}"

    def arguments(self, *options: str) -> Sequence[str]:
        """Return the arguments of kubectl that run this program in the pod."""
        command = ("ald", "run", "report", self._name, "-n", self._namespace, "--local", *options)
        return kubectl.inside(LOGGER, command, namespace=self._home, container="logger")

    def report(self, *, pulses: bool) -> Report:
        """Return the report; of a run that has ended, not before its end is in the history, unless that takes too long.

        Raises:
            NotFoundError, PeerError: there is no such run; the pod cannot be asked.
        """
        clock = SystemClock()
        deadline_ns = clock.monotonic_ns() + int(CATCH_UP_TIMEOUT_S * 1e9)
        has_ended: bool | None = None
        while True:
            late: PeerError | NotFoundError | None = None
            found: Report | None = None
            try:
                found = self._once(pulses=pulses)
            except (PeerError, NotFoundError) as error:
                late = error
            if found is not None and found.run.outcome is not None:
                return found
            if has_ended is None:
                has_ended = self._has_ended()
            if not has_ended or clock.monotonic_ns() > deadline_ns:
                if found is None:
                    assert late is not None, "one of the two"
                    raise late
                return found
            time.sleep(CATCH_UP_INTERVAL_S)  # noqa: TID251 -- no event loop here

    def _once(self, *, pulses: bool) -> Report:
        options = ("-o", "json", *(("--pulses",) if pulses else ()))
        text = kubectl.ask(self.arguments(*options), self.doing)
        try:
            return msgspec.json.decode(text, type=Report)
        except msgspec.DecodeError as error:
            raise PeerError(
                f"the logger's answer cannot be read ({error}); is it of another version than this program?"
            ) from error

    def _has_ended(self) -> bool:
        """Tell whether Kubernetes knows the run as ended; False where it does not know it, or may not say."""
        arguments = ["-n", self._namespace, "get", "reciperuns.ald.dev", self._name]
        path = "jsonpath={.status.endedAt}"
        try:
            return bool(kubectl.ask([*arguments, "-o", path], "looking at the run").strip())
        except (NotFoundError, PeerError):
            return False
