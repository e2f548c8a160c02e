"""Debian packages: on this machine (the engine), and as root file systems of images."""

import contextlib
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from clusterlib import paths
from clusterlib.shell import ClusterError, long_run, run, succeeds

HOST_PACKAGES = ("docker.io", "debootstrap", "iptables", "iproute2")
POLICY = Path("/usr/sbin/policy-rc.d")
LEFT_OUT = ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info", "debootstrap")
DOWNLOADS = ("var/cache/apt", "var/lib/apt/lists", "var/log")


def can_install() -> bool:
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def are_host_packages_installed() -> bool:
    return all(
        succeeds("dpkg-query", "--show", "--showformat=${db:Status-Status}", name)
        and run("dpkg-query", "--show", "--showformat=${db:Status-Status}", name).stdout
        == "installed"
        for name in HOST_PACKAGES
    )


def install_host_packages() -> None:
    """Install the engine and debootstrap without starting any service.

    Raises:
        ClusterError: not root, not Debian, or apt failed.
    """
    if not can_install():
        raise ClusterError(
            f"needs {', '.join(HOST_PACKAGES)}, which only root on Debian or Ubuntu can install. "
            "Run as root, or install an engine such as Docker and set ALD_CLUSTER=stock"
        )
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    with _no_services():
        long_run("apt", "apt-get", "update", "-q", env=quiet)
        options = ("install", "-qy", "--no-install-recommends")
        long_run("apt", "apt-get", *options, *HOST_PACKAGES, env=quiet)


@contextlib.contextmanager
def _no_services() -> Iterator[None]:
    """Keep packages from starting what they install; this file is Debian's way to say so."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()


def root_path(name: str, suite: str, packages: Sequence[str]) -> Path:
    return paths.WORK / "roots" / f"{name}-{paths.digest(suite, *packages)}"


def make_root(name: str, suite: str, packages: Sequence[str]) -> Path:
    """Make a root file system of a suite's minimal base and these packages.

    It is put together beside its place, so that what is there is always whole.

    Raises:
        ClusterError: with the end of the log.
    """
    root = root_path(name, suite, packages)
    if root.exists():
        return root
    partial = root.with_suffix(".partial")
    remove_tree(partial)
    partial.parent.mkdir(parents=True, exist_ok=True)
    long_run(
        f"debootstrap-{name}",
        *("nice", "debootstrap", "--variant=minbase", f"--include={','.join(packages)}"),
        *(suite, str(partial), *_mirror()),
        env={"LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"},
    )
    for left_out in LEFT_OUT:
        shutil.rmtree(partial / left_out, ignore_errors=True)
    for downloads in DOWNLOADS:
        for file in (partial / downloads).rglob("*"):
            if file.is_file():
                file.unlink()
    (partial / "etc/resolv.conf").write_text("")
    (partial / "etc/hostname").write_text("localhost\n")
    partial.rename(root)
    return root


def _mirror() -> list[str]:
    """Return the mirror this machine's apt uses for Debian, if it is a Debian; else the default."""
    lines = run(
        *("apt-get", "indextargets", "--format", "$(REPO_URI)"),
        *("Created-By: Packages", "Origin: Debian", "Label: Debian"),
        check=False,
    ).stdout.split()
    return lines[:1]


def remove_tree(path: Path) -> None:
    """Remove a tree, and refuse while something is mounted inside: rm would go on into the mount."""
    if any(f" {path}/" in line for line in Path("/proc/self/mountinfo").read_text().splitlines()):
        raise ClusterError(f"{path}: something is mounted inside; unmount it first")
    shutil.rmtree(path, ignore_errors=True)
