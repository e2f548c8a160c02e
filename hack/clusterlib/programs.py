"""Build the cluster's programs from Go modules, at the versions their go.mod files pin."""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from clusterlib import paths
from clusterlib.shell import ClusterError, long_run, run

KUBERNETES = "kubernetes"


@dataclass(frozen=True, kw_only=True)
class Program:
    """One binary: which package of which module directory, and where it goes."""

    name: str
    module: str
    package: str
    directory: Path

    @property
    def path(self) -> Path:
        return self.directory / self.name

    @property
    def stamp(self) -> Path:
        return paths.WORK / "stamps" / self.name

    @property
    def key(self) -> str:
        return paths.digest(self.package, link_flags(self.module), paths.GO_MODULES / self.module)

    def is_built(self) -> bool:
        return self.path.exists() and self.stamp.exists() and self.stamp.read_text() == self.key


def _kubernetes(name: str, directory: Path) -> Program:
    package = f"k8s.io/kubernetes/cmd/{name}"
    return Program(name=name, module=KUBERNETES, package=package, directory=directory)


# For people and for integration tests.
TOOLS = (
    Program(
        name="etcd",
        module="etcd",
        package="go.etcd.io/etcd/server/v3",
        directory=paths.TOOLS,
    ),
    _kubernetes("kubectl", paths.TOOLS),
    _kubernetes("kube-apiserver", paths.TOOLS),
    Program(name="kind", module="kind", package="sigs.k8s.io/kind", directory=paths.TOOLS),
    Program(name="helm", module="helm", package="helm.sh/helm/v3/cmd/helm", directory=paths.TOOLS),
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
        module="local-path-provisioner",
        package="github.com/rancher/local-path-provisioner",
        directory=paths.NODE_BINARIES,
    ),
)

# Stands before runc on machines without some capability; see its source.
WRAPPER = Program(name="capbound", module="capbound", package=".", directory=paths.NODE_BINARIES)


def are_built(programs: tuple[Program, ...]) -> bool:
    return all(program.is_built() for program in programs)


def build(programs: tuple[Program, ...]) -> None:
    """Build what is missing or of other versions; each finished binary is kept.

    Raises:
        ClusterError: Go is missing, or a build failed.
    """
    if shutil.which("go") is None:
        raise ClusterError("go: not found. Install Go 1.24 or newer and put it on PATH")
    for program in programs:
        if program.is_built():
            continue
        program.directory.mkdir(parents=True, exist_ok=True)
        program.stamp.parent.mkdir(parents=True, exist_ok=True)
        # Beside the place and renamed: a running program cannot be overwritten.
        partial = program.path.with_suffix(".partial")
        command = ["nice", "go", "build", "-trimpath", "-mod=readonly", "-o", str(partial)]
        long_run(
            f"build-{program.name}",
            *(*command, "-ldflags", link_flags(program.module), program.package),
            cwd=paths.GO_MODULES / program.module,
            env=go_environment(),
        )
        partial.rename(program.path)
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
    return module_version(KUBERNETES, "k8s.io/kubernetes")


def link_flags(module: str) -> str:
    """Return the linker's flags; Kubernetes' programs and helm learn their versions from them."""
    version = kubernetes_version()
    major, minor, _ = version.removeprefix("v").split(".")
    values: dict[str, str] = {}
    if module == KUBERNETES:
        for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version"):
            values[f"{package}.gitVersion"] = version
            values[f"{package}.gitMajor"] = major
            values[f"{package}.gitMinor"] = minor
    elif module == "helm":
        values["helm.sh/helm/v3/internal/version.version"] = module_version(
            module, "helm.sh/helm/v3"
        )
        # What charts are checked against where no cluster is asked.
        for package in ("helm.sh/helm/v3/pkg/chartutil", "helm.sh/helm/v3/pkg/lint/rules"):
            values[f"{package}.k8sVersionMajor"] = major
            values[f"{package}.k8sVersionMinor"] = minor
    return " ".join(["-s", "-w", *(f"-X {name}={value}" for name, value in values.items())])


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
