#!/usr/bin/env python3
"""House rules that no linter knows: sizes, mirrored tests, reasons, and what must not be in a file."""

import ast
import io
import re
import subprocess
import sys
import tokenize
import tomllib
from collections.abc import Iterator
from pathlib import Path

MODULE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70
PARAMETERS_MAX = 6
FILE_BYTES_MAX = 500_000

PURE = ("api", "plant", "program", "records", "engine", "wire", "standing", "units", "errors")
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "misc"}

# Put together here so that this file does not hold what it looks for.
REGISTRY_HOSTS = tuple(
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("proxy", "golang", "org"),
        ("sum", "golang", "org"),
        ("deb", "debian", "org"),
        ("security", "debian", "org"),
        ("registry", "npmjs", "org"),
        ("crates", "io"),
    )
)
FOREIGN_TEXT = re.compile(
    "|".join(
        [
            *(rf"(?<![\w.-])(?:[\w-]+\.)*{re.escape(host)}(?![\w-])" for host in REGISTRY_HOSTS),
            *(rf"(?<![\w.}}]){re.escape(f'/{place}/')}" for place in ("work", "tmp/bash_jobs")),
        ]
    )
)
NOQA = re.compile(r"#\s*noqa\b(?P<rest>.*)", re.IGNORECASE)
TYPE_IGNORE = re.compile(r"#\s*type:\s*ignore(?P<rest>.*)")
REASONED_NOQA = re.compile(r":\s*[A-Z]+[0-9]+(?:\s*,\s*[A-Z]+[0-9]+)*\s+-- \S")
REASONED_IGNORE = re.compile(r"\[[a-z-]+(?:\s*,\s*[a-z-]+)*\]\s+#? ?-- \S")


def main(root: Path) -> int:
    """Print every violation below `root` and return how a process should end."""
    found = sorted(violations(root, tracked(root)))
    for line in found:
        print(line)
    return 1 if found else 0


def tracked(root: Path) -> list[Path]:
    """Return the files that are, or with the next commit may be, in the repository."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=root,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split("\0")
    return sorted({Path(name) for name in listed if name and (root / name).is_file()})


def violations(root: Path, files: list[Path]) -> Iterator[str]:
    """Yield one line per broken rule: place, fact, limit."""
    if Path("operator/__init__.py") in files:
        yield "operator/__init__.py: must not exist, it would hide the standard library's operator"
    yield from dependencies(root)
    present = set(files)
    for path in files:
        content = (root / path).read_bytes()
        if len(content) > FILE_BYTES_MAX:
            yield f"{path}: {len(content)} bytes, at most {FILE_BYTES_MAX}"
        try:
            text = content.decode()
        except UnicodeDecodeError:
            continue
        yield from foreign(path, text)
        if path.suffix == ".py" or text.startswith("#!/usr/bin/env python3"):
            yield from source(path, text)
            yield from unmirrored(path, text, present)


def foreign(path: Path, text: str) -> Iterator[str]:
    """Yield addresses of package registries and places of one machine only."""
    for number, line in enumerate(text.splitlines(), 1):
        if match := FOREIGN_TEXT.search(line):
            yield f"{path}:{number}: names {match[0]}, which belongs to one machine or registry"


def source(path: Path, text: str) -> Iterator[str]:
    """Yield what is wrong with one Python file on its own."""
    lines = text.splitlines()
    if len(lines) > MODULE_LINES_MAX:
        yield f"{path}: {len(lines)} lines, at most {MODULE_LINES_MAX}"
    if forbidden := FORBIDDEN_NAMES.intersection((*path.parts[:-1], path.stem)):
        yield f"{path}: is called {forbidden.pop()}, which says nothing; name it after what it holds"
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield from unreasoned(path, token.start[0], token.string)
    # A function's size is its own affair in a test; its parameters are fixtures there.
    for node in ast.walk(ast.parse(text, str(path))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from function(path, node)


def unreasoned(path: Path, number: int, comment: str) -> Iterator[str]:
    """Yield a comment that silences a tool and does not say why."""
    if (match := NOQA.search(comment)) and not REASONED_NOQA.match(match["rest"]):
        yield f"{path}:{number}: noqa needs a code and ' -- reason'"
    if (match := TYPE_IGNORE.search(comment)) and not REASONED_IGNORE.match(match["rest"]):
        yield f"{path}:{number}: type: ignore needs [code] and '  # -- reason'"


def function(path: Path, node: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    where = f"{path}:{node.lineno}: {node.name}"
    size = (node.end_lineno or node.lineno) - node.lineno + 1
    if size > FUNCTION_LINES_MAX:
        yield f"{where} has {size} lines, at most {FUNCTION_LINES_MAX}"
    arguments = node.args
    names = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    count = sum(name.arg not in {"self", "cls"} for name in names)
    if count > PARAMETERS_MAX and path.parts[0] != "tests" and not is_command(node):
        yield f"{where} has {count} parameters, at most {PARAMETERS_MAX}"


def is_command(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Tell whether a function is a command of a program: each of its parameters is one option."""
    calls = [d.func for d in node.decorator_list if isinstance(d, ast.Call)]
    return any(isinstance(called, ast.Attribute) and called.attr == "command" for called in calls)


def unmirrored(path: Path, text: str, present: set[Path]) -> Iterator[str]:
    """Yield a module of the pure core that has behaviour and no test of its own."""
    parts = path.parts
    if parts[:2] != ("operator", "ald") or path.with_suffix("").parts[2] not in PURE:
        return
    defines = any(
        isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(ast.parse(text))
    )
    if not defines:
        return
    name = path.parent.name if path.stem == "__init__" else path.stem.lstrip("_")
    folder = path.parent.parent if path.stem == "__init__" else path.parent
    test = Path("tests/unit", *folder.parts[2:], f"test_{name}.py")
    if test not in present:
        yield f"{path}: has no test; write {test}"


def dependencies(root: Path) -> Iterator[str]:
    """Yield differences between the two places that must name the same dependencies."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    declared = set(project.get("dependencies", ()))
    listed = {
        line.strip()
        for line in (root / "requirements/runtime.in").read_text().splitlines()
        if line.strip() and not line.startswith("#")
    }
    for name in sorted(declared ^ listed):
        other = "requirements/runtime.in" if name in declared else "pyproject.toml"
        yield f"{other}: does not name the dependency {name!r}, the other of the two does"


if __name__ == "__main__":
    sys.exit(main(Path(__file__).resolve().parent.parent))
