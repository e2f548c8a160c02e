"""What an engine leaves behind when it is killed, and a little even when it ends in order."""

import os
import re
import shlex
import signal
from collections.abc import Iterator
from pathlib import Path

from clusterlib.kernel import FIREWALLS
from clusterlib.shell import run, say, wait_until

CGROUP = "ald-cluster"
BRIDGE = "ald-kind0"
CGROUP_ROOT = Path("/sys/fs/cgroup")
END_TIMEOUT_S_MAX = 15.0

# docker0, our bridge, and those of networks that somebody made in our engine.
BRIDGES = re.compile(rf"docker0|{BRIDGE}|br-[0-9a-f]{{12}}")
# The engine's chains, rules that name its bridges, and its hairpin rules, which name nothing of it.
RULES = re.compile(
    rf"^-A (PREROUTING|INPUT|FORWARD|OUTPUT|POSTROUTING) "
    rf"(.*(DOCKER|{BRIDGES.pattern})|-s (\S+)/32 -d \4/32 .*-j MASQUERADE$)"
)
SHIM_SOCKETS = Path("/run/containerd/s")


def remove(*, exec_root: Path, data_root: Path) -> None:
    """Remove everything that an engine with these directories may have left; safe to repeat."""
    end_processes(exec_root)
    unmount_below(exec_root)
    unmount_below(data_root)
    remove_bridges()
    remove_rules()
    remove_cgroups()
    remove_shim_sockets()


def end_processes(exec_root: Path) -> None:
    """Kill the engine's helpers and all that runs in its control group."""

    def remaining() -> set[int]:
        return {*_pids_naming(exec_root), *_pids_in_cgroup()}

    def killed() -> bool:
        # Again and again: a dying shim's children and a restarting container come up in between.
        for pid in remaining():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        return not remaining()

    if not wait_until(killed, within_s=END_TIMEOUT_S_MAX):
        say(f"these processes do not end: {sorted(remaining())}")


def _pids_naming(exec_root: Path) -> Iterator[int]:
    """Yield containerd and its shims, which carry the directory in their command line."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:  # it ended between the listing and the reading
            continue
        name = Path(os.fsdecode(words[0])).name
        if name.startswith("containerd") and any(bytes(exec_root) in word for word in words):
            yield int(entry.name)


def _cgroups() -> list[Path]:
    """Return our control group in each hierarchy (one with version 2), children before parents."""
    tops = [CGROUP_ROOT / CGROUP, *CGROUP_ROOT.glob(f"*/{CGROUP}")]
    found = []
    for top in tops:
        for directory, _, _ in os.walk(top, topdown=False):
            found.append(Path(directory))
    return found


def _pids_in_cgroup() -> Iterator[int]:
    for group in _cgroups():
        try:
            yield from map(int, (group / "cgroup.procs").read_text().split())
        except OSError:  # the group went away, or may not hold processes
            continue


def unmount_below(directory: Path) -> None:
    """Unmount what is mounted under a directory, last mounted first."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    points = [line.split()[4].replace("\\040", " ") for line in lines]
    for point in reversed(points):
        if point == str(directory) or point.startswith(f"{directory}/"):
            run("umount", "--lazy", point, check=False)


def remove_bridges() -> None:
    listing = run("ip", "-o", "link", "show", "type", "bridge", check=False).stdout
    for name in re.findall(r"^\d+: ([^:@]+)", listing, re.MULTILINE):
        if not BRIDGES.fullmatch(name):
            continue
        # A container's end of a pair may live as long as something holds its namespace.
        ports = run("ip", "-o", "link", "show", "master", name, check=False).stdout
        for port in re.findall(r"^\d+: ([^:@]+)", ports, re.MULTILINE):
            run("ip", "link", "delete", port, check=False)
        run("ip", "link", "delete", name, check=False)


def remove_rules() -> None:
    """Remove the engine's rules and chains from both firewalls."""
    for firewall in FIREWALLS:
        for table in ("nat", "filter"):
            lines = run(f"{firewall}-save", "-t", table, check=False).stdout.splitlines()
            for line in lines:
                if RULES.search(line):
                    rule = shlex.split(line.replace("-A", "-D", 1))
                    run(firewall, "-w", "-t", table, *rule, check=False)
            chains = [line.split()[0][1:] for line in lines if line.startswith(":DOCKER")]
            for action in ("-F", "-X"):
                for chain in chains:
                    run(firewall, "-w", "-t", table, action, chain, check=False)


def remove_cgroups() -> None:
    def gone() -> bool:
        for group in _cgroups():
            try:
                group.rmdir()
            except OSError:  # its last process is still on its way out
                continue
        return not _cgroups()

    if not wait_until(gone, within_s=END_TIMEOUT_S_MAX):
        say(f"these control groups do not go: {[str(group) for group in _cgroups()]}")


def remove_shim_sockets() -> None:
    """Remove sockets of shims that were killed: those that no process listens on."""
    if not SHIM_SOCKETS.is_dir():
        return
    listening = Path("/proc/net/unix").read_text()
    for socket in SHIM_SOCKETS.iterdir():
        if str(socket) not in listening:
            socket.unlink()
    if not any(SHIM_SOCKETS.iterdir()):
        SHIM_SOCKETS.rmdir()
