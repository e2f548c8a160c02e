"""Settings of the machine's kernel that an engine or a kubelet changes: read, save, put back."""

import re
from pathlib import Path

from clusterlib.shell import run, succeeds

# dockerd switches forwarding on; a node's systemd raises the limits of open files; kubelet sets the
# others. All are the whole machine's, even when they are set from inside a container.
SYSCTLS = (
    "fs.file-max",
    "fs.nr_open",
    "kernel.keys.root_maxbytes",
    "kernel.keys.root_maxkeys",
    "kernel.panic",
    "kernel.panic_on_oops",
    "net.ipv4.ip_forward",
    "net.ipv6.conf.all.forwarding",
    "vm.overcommit_memory",
    "vm.panic_on_oom",
)
FIREWALLS = ("iptables", "ip6tables")


def _file(sysctl: str) -> Path:
    return Path("/proc/sys") / sysctl.replace(".", "/")


def read_sysctls() -> dict[str, str]:
    return {name: _file(name).read_text().strip() for name in SYSCTLS if _file(name).exists()}


def restore_sysctls(saved: dict[str, str]) -> None:
    for name, value in saved.items():
        if _file(name).read_text().strip() != value:
            _file(name).write_text(value)


def read_forward_policies() -> dict[str, str]:
    """Return the policy of FORWARD by firewall command; dockerd sets it to DROP."""
    policies = {}
    for firewall in FIREWALLS:
        listing = run(firewall, "-S", "FORWARD", check=False).stdout
        if found := re.search(r"^-P FORWARD (\w+)", listing, re.MULTILINE):
            policies[firewall] = found[1]
    return policies


def restore_forward_policies(saved: dict[str, str]) -> None:
    for firewall, policy in saved.items():
        run(firewall, "-P", "FORWARD", policy)


def outside_interfaces() -> list[str]:
    """Return the interfaces that default routes lead through."""
    lines = [
        line
        for family in ("-4", "-6")
        for line in run("ip", family, "route", "show", "default", check=False).stdout.splitlines()
    ]
    return sorted({found[1] for line in lines if (found := re.search(r"\bdev (\S+)", line))})


def reject_outward(chain: str, *, source: str | None = None) -> None:
    """Reject what is forwarded to an outside interface, from one bridge or from anywhere.

    Addresses of Services that nothing has programmed yet follow the default route; on some
    networks something out there answers them.
    """
    match = [] if source is None else ["-i", source]
    # The kernel limits the rate of ICMP errors but not of resets: with these, callers fail at once.
    kinds: tuple[list[str], ...] = ([], ["-p", "tcp"])
    for interface in outside_interfaces():
        for kind in kinds:
            answer = ["--reject-with", "tcp-reset"] if kind else []
            rule = [*match, "-o", interface, *kind, "-j", "REJECT", *answer]
            if not succeeds("iptables", "-w", "-C", chain, *rule):
                run("iptables", "-w", "-I", chain, *rule)


def has_all_capabilities() -> bool:
    """Tell whether the bounding set holds every capability the kernel knows."""
    status = Path("/proc/self/status").read_text()
    found = re.search(r"^CapBnd:\s*(\w+)", status, re.MULTILINE)
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    return found is not None and int(found[1], 16) == (1 << (last + 1)) - 1
