"""Build the cluster's programs from Go modules, at the versions their go.mod files pin.

What leans on the same version of Kubernetes' libraries is one module: what they share is compiled once.
"""

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from clusterlib import paths
from clusterlib.shell import ClusterError, long_run, run

SHARED = "cluster"
"""The module of everything but kind and coredns, which wants Kubernetes' libraries of another version."""

COMPILER_GOGC = "400"
"""Compilers live for seconds: collecting garbage less often takes memory (some GB in all) for a good part of their time."""


@dataclass(frozen=True, kw_only=True)
class Program:
    """One binary: which package of which module directory, and where it goes."""

    name: str
    module: str
    package: str
    directory: Path
    # Go refuses to build it together with the others of its module.
    is_apart: bool = False

    @property
    def path(self) -> Path:
        return self.directory / self.name

    @property
    def stamp(self) -> Path:
        return paths.WORK / "stamps" / self.name

    @property
    def key(self) -> str:
        return paths.digest(
            self.package, " ".join(flags(self.module)), paths.GO_MODULES / self.module
        )

    @property
    def output(self) -> str:
        """What `go build` calls it: the package's last element that is no major version."""
        elements = self.module if self.package == "." else self.package
        return next(e for e in reversed(elements.split("/")) if not re.fullmatch(r"v\d+", e))

    def is_built(self) -> bool:
        return self.path.exists() and self.stamp.exists() and self.stamp.read_text() == self.key


def _kubernetes(name: str, directory: Path) -> Program:
    package = f"k8s.io/kubernetes/cmd/{name}"
    return Program(name=name, module=SHARED, package=package, directory=directory)


# For people and for integration tests.
TOOLS = (
    Program(
        name="etcd",
        module=SHARED,
        package="go.etcd.io/etcd/server/v3",
        directory=paths.TOOLS,
    ),
    _kubernetes("kubectl", paths.TOOLS),
    _kubernetes("kube-apiserver", paths.TOOLS),
    Program(name="kind", module="kind", package="sigs.k8s.io/kind", directory=paths.TOOLS),
    Program(name="helm", module=SHARED, package="helm.sh/helm/v3/cmd/helm", directory=paths.TOOLS),
)

# For the inside of a node that is built here.
NODE_PROGRAMS = (
    *(
        _kubernetes(name, paths.NODE_BINARIES)
        for name in (
            "kube-controller-manager",
            "kube-scheduler",
            "kube-proxy",
            "kubelet",
            "kubeadm",
        )
    ),
    Program(
        name="coredns",
        module="coredns",
        package="github.com/coredns/coredns",
        directory=paths.NODE_BINARIES,
    ),
    Program(
        name="local-path-provisioner",
        module=SHARED,
        package="github.com/rancher/local-path-provisioner",
        directory=paths.NODE_BINARIES,
        # It writes the name of a library with a capital letter.
        is_apart=True,
    ),
)

# Stands before runc on machines without some capability; see its source.
WRAPPER = Program(name="capbound", module="capbound", package=".", directory=paths.NODE_BINARIES)


def are_built(programs: tuple[Program, ...]) -> bool:
    return all(program.is_built() for program in programs)


def build(programs: Sequence[Program]) -> None:
    """Build what is missing or of other versions, all of a module at once: what they share is compiled once.

    An interrupted build goes on from the compiler's cache.

    Raises:
        ClusterError: Go is missing, or a build failed.
    """
    if shutil.which("go") is None:
        raise ClusterError("go: not found. Install Go 1.24 or newer and put it on PATH")
    missing = [program for program in programs if not program.is_built()]
    for module in dict.fromkeys(program.module for program in missing):
        of_module = [program for program in missing if program.module == module]
        together = [program for program in of_module if not program.is_apart]
        for each in (together, *([program] for program in of_module if program.is_apart)):
            if each:
                _build_module(module, each)


def _build_module(module: str, programs: Sequence[Program]) -> None:
    outputs = paths.WORK / "build" / module
    outputs.mkdir(parents=True, exist_ok=True)
    long_run(
        f"build-{module}",
        *("nice", "go", "build", "-trimpath", "-mod=readonly", *flags(module), "-o", f"{outputs}/"),
        *(program.package for program in programs),
        cwd=paths.GO_MODULES / module,
        env={**go_environment(), "GOGC": COMPILER_GOGC},
    )
    for program in programs:
        program.directory.mkdir(parents=True, exist_ok=True)
        program.stamp.parent.mkdir(parents=True, exist_ok=True)
        # Beside the place and renamed: a running program cannot be overwritten.
        (outputs / program.output).rename(program.path)
        program.stamp.write_text(program.key)


def drop_build_cache() -> None:
    """Remove the compiler's cache, which is of no use once the binaries are there (5 GB)."""
    shutil.rmtree(paths.GO_BUILD_CACHE, ignore_errors=True)


def go_environment() -> dict[str, str]:
    return {
        "CGO_ENABLED": "0",
        "GOCACHE": str(paths.GO_BUILD_CACHE),
        "GOFLAGS": "-buildvcs=false",
        "GOWORK": "off",
    }


def module_version(module: str, path: str) -> str:
    """Return the version that a go.mod file pins for a module path.

    Raises:
        ClusterError: the file does not pin it.
    """
    file = paths.GO_MODULES / module / "go.mod"
    found = re.search(rf"^\s*(?:require )?{re.escape(path)} (v\S+)", file.read_text(), re.MULTILINE)
    if found is None:
        raise ClusterError(f"{file}: no version of {path}")
    return found[1]


def module_source(module: str, path: str) -> Path:
    """Return the directory of a module's source, fetched if need be."""
    done = run(
        *("go", "mod", "download", "-json", f"{path}@{module_version(module, path)}"),
        cwd=paths.GO_MODULES / module,
        env=go_environment(),
    )
    found = re.search(r'"Dir": "([^"]+)"', done.stdout)
    if found is None:
        raise ClusterError(f"go mod download {path} failed:\n{done.stdout}{done.stderr}")
    return Path(found[1])


def kubernetes_version() -> str:
    return module_version(SHARED, "k8s.io/kubernetes")


def flags(module: str) -> tuple[str, ...]:
    """Return the compiler's and linker's flags; Kubernetes' programs and helm learn their versions from them."""
    without_debugging = "-gcflags=all=-dwarf=false"
    if module != SHARED:
        return (without_debugging, "-ldflags=-s -w")
    version = kubernetes_version()
    major, minor, _ = version.removeprefix("v").split(".")
    values: dict[str, str] = {}
    for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version"):
        values[f"{package}.gitVersion"] = version
        values[f"{package}.gitMajor"] = major
        values[f"{package}.gitMinor"] = minor
    values["helm.sh/helm/v3/internal/version.version"] = module_version(SHARED, "helm.sh/helm/v3")
    # What charts are checked against where no cluster is asked.
    for package in ("helm.sh/helm/v3/pkg/chartutil", "helm.sh/helm/v3/pkg/lint/rules"):
        values[f"{package}.k8sVersionMajor"] = major
        values[f"{package}.k8sVersionMinor"] = minor
    settings = [f"-X {name}={value}" for name, value in values.items()]
    return (without_debugging, " ".join(["-ldflags=-s -w", *settings]))


def tool(name: str) -> Path:
    """Return a command-line tool: the one built here, else the machine's own.

    Raises:
        ClusterError: there is neither.
    """
    built = paths.TOOLS / name
    if built.exists():
        return built
    found = shutil.which(name)
    if found is None:
        raise ClusterError(f"{name}: not found. Run: hack/cluster tools")
    return Path(found)
