"""Base images of our own images: published ones, or the same from Debian packages."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from clusterlib import debian, engine, nodeimage, paths
from clusterlib.shell import run
from clusterlib.steps import Step, together

SUITE = "trixie"  # the Debian release that the published images of these versions are made from


@dataclass(frozen=True, kw_only=True)
class Base:
    """A base image: its build argument, the published name, and how to make it here."""

    argument: str
    published: str
    local: str
    packages: Sequence[str]
    finish: Callable[[Path], None]
    changes: Sequence[str] = ()

    @property
    def name(self) -> str:
        """The local name; it changes with the recipe, so that an old image is never taken."""
        return f"{self.local}-{paths.digest(SUITE, *self.packages, *self.changes, Path(__file__))}"


def _finish_python(root: Path) -> None:
    for name in ("python", "python3"):
        (root / "usr/local/bin" / name).symlink_to("/usr/bin/python3.13")


def _finish_postgres(root: Path) -> None:
    """Remove the database that the package made, and its compiler, which is most of its size."""
    for made in ("etc/postgresql/17", "var/lib/postgresql/17"):
        shutil.rmtree(root / made, ignore_errors=True)
    library = root / "usr/lib/postgresql/17/lib"
    shutil.rmtree(library / "bitcode", ignore_errors=True)
    for part in (*library.glob("llvmjit*"), *root.glob("usr/lib/*/libLLVM*")):
        part.unlink()
    run("chroot", root, "/usr/lib/postgresql/17/bin/postgres", "--version")


BASES = (
    Base(
        argument="PYTHON_IMAGE",
        published="python:3.13-slim",
        local="localhost/ald-python-base:3.13",
        packages=("ca-certificates", "python3.13", "tzdata"),
        finish=_finish_python,
        changes=("ENV LANG=C.UTF-8", 'CMD ["python3"]'),
    ),
    Base(
        argument="POSTGRES_IMAGE",
        published="postgres:17",
        local="localhost/ald-postgres-base:17",
        packages=("ca-certificates", "postgresql-17", "tzdata"),
        finish=_finish_postgres,
        changes=("ENV LANG=C.UTF-8", "ENV PGDATA=/var/lib/postgresql/data"),
    ),
)


def published() -> dict[str, str]:
    """Return the published image for each build argument."""
    return {base.argument: base.published for base in BASES}


def made() -> dict[str, str]:
    """Return the image made here for each build argument."""
    return {base.argument: base.name for base in BASES}


def make_roots() -> None:
    """Fetch and unpack what the images that are not there yet are made of; `step` does it as well."""
    together(*(partial(_root, base) for base in BASES if not engine.has_image(base.name)))()


def step() -> Step:
    """Return the step to all base images."""
    return Step(
        title=f"base images {' and '.join(base.name for base in BASES)}",
        usually="1 min",
        is_done=lambda: all(engine.has_image(base.name) for base in BASES),
        do=together(*(partial(_make, base) for base in BASES)),
    )


def _root(base: Base) -> Path:
    return debian.make_root(base.argument.lower(), SUITE, base.packages)


def _make(base: Base) -> None:
    if engine.has_image(base.name):
        return
    root = _root(base)
    finished = root.with_suffix(".finished")
    debian.remove_tree(finished)
    root.rename(finished)
    base.finish(finished)
    nodeimage.import_root(finished, base.name, *base.changes)
    debian.remove_tree(finished)
    engine.remove_older(base.name)
