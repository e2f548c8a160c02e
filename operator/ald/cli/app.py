"""The program `ald`, also `kubectl ald`: what people type.

Exit codes: 0 done; 1 it could not be done, or is not so, and one line on stderr says why; 2 the command line was not understood.
Each command is imported only when it is called: a software stop must neither wait for a database driver nor carry it.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

import typer
from typer.core import TyperCommand, TyperGroup
from typing_extensions import override

import ald
from ald.cli.examples import examples
from ald.errors import AldError, InvalidInputError

if TYPE_CHECKING:
    from typer._click.core import Context

MACHINE = {
    "from-csv": "ald.cli.convert",
    "probe": "ald.cli.probe",
    "values": "ald.cli.values",
}
RUN = {"replay": "ald.cli.replay", "report": "ald.cli.report"}
RECIPE = {"check": "ald.cli.check"}
TOP = {"stop": "ald.cli.stop"}


class _Lazy(TyperGroup):
    """A group that imports the module of a command when the command is asked for; each has one `app` with one command."""

    modules: dict[str, str]

    @override
    def list_commands(self, ctx: Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *self.modules})

    @override
    def get_command(self, ctx: Context, cmd_name: str) -> TyperCommand | TyperGroup | None:
        if cmd_name not in self.modules:
            found = super().get_command(ctx, cmd_name)
            assert found is None or isinstance(found, TyperCommand | TyperGroup), "made by typer"
            return found
        module = importlib.import_module(self.modules[cmd_name])
        command = typer.main.get_command(module.app)
        assert isinstance(command, TyperCommand | TyperGroup), "made by typer"
        command.name = cmd_name
        return command


class _Top(_Lazy):
    modules = TOP


class _Machine(_Lazy):
    modules = MACHINE


class _Recipe(_Lazy):
    modules = RECIPE


class _Run(_Lazy):
    modules = RUN


app = typer.Typer(
    cls=_Top,
    name="ald",
    help="Look at machines and runs of ald, and describe new machines.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
machine = typer.Typer(
    cls=_Machine,
    help="Describe a machine, look at it.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
recipe = typer.Typer(
    cls=_Recipe,
    help="Check a recipe before it is applied.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
run = typer.Typer(
    cls=_Run, help="Look at a run of a recipe.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(machine, name="machine")
app.add_typer(recipe, name="recipe")
app.add_typer(run, name="run")


@app.callback()
def _top() -> None:
    pass


@machine.callback()
def _machine() -> None:
    pass


@recipe.callback()
def _recipe() -> None:
    pass


@run.callback()
def _run() -> None:
    pass


@app.command(epilog=examples("ald version"))
def version() -> None:
    """Print the version of this program."""
    print(f"ald {ald.__version__}")


def main() -> int:
    """Do what the command line says; return the exit code."""
    try:
        app()
    except InvalidInputError as error:
        for violation in error.violations:
            print(f"ald: {violation}", file=sys.stderr)
        return 1
    except AldError as error:
        print(f"ald: {error}", file=sys.stderr)
        return 1
    return 0
