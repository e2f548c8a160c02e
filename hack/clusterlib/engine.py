"""The container engine: the one that runs already, else one of our own from Debian's package."""

import json
import os
import shutil
import signal
import subprocess
from dataclasses import asdict, dataclass, field
from pathlib import Path

from clusterlib import kernel, leftovers, paths, programs
from clusterlib.shell import ClusterError, run, say, succeeds, wait_until

ANSWER_TIMEOUT_S_MAX = 5.0
START_TIMEOUT_S_MAX = 60.0
STOP_TIMEOUT_S_MAX = 30.0
STATE = paths.RUN / "state.json"
PID_FILE = paths.RUN / "dockerd.pid"
EXEC_ROOT = paths.RUN / "exec"
# Made wherever its directories are; removed with it, unless it was there before.
MADE_BY_ENGINE = ("/run/docker", "/run/containerd", "/etc/docker/key.json", "/etc/docker")


@dataclass(frozen=True, kw_only=True)
class State:
    """What our engine changed on this machine, kept until it is put back."""

    checkout: str
    data_root: str
    sysctls: dict[str, str] = field(default_factory=dict)
    forward_policies: dict[str, str] = field(default_factory=dict)
    absent: list[str] = field(default_factory=list)


def environment() -> dict[str, str]:
    """Return what a docker client needs to reach our engine; nothing when it is not ours."""
    if not is_ours():
        return {}
    # Debian has no builder plugin for this client, so its classic builder it is.
    return {"DOCKER_HOST": f"unix://{paths.SOCKET}", "DOCKER_BUILDKIT": "0"}


def client_environment() -> dict[str, str]:
    """Return the whole environment of a docker client that is run directly."""
    return {**os.environ, **environment()}


def is_ours() -> bool:
    """Tell whether our engine was started and not stopped, whether it answers or not."""
    return STATE.exists()


def holds_containers() -> bool:
    """Tell whether our engine's data has containers in it, say after the machine was restarted."""
    return any((paths.ENGINE_DATA / "containers").glob("*"))


def answers() -> bool:
    return succeeds("docker", "version", env=environment(), timeout_s=ANSWER_TIMEOUT_S_MAX)


def docker(*arguments: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    return run("docker", *arguments, env=environment(), check=check)


def has_image(name: str) -> bool:
    return docker("image", "inspect", name, check=False).returncode == 0


def remove_older(name: str) -> None:
    """Remove the images that an earlier recipe of this image left; one in use stays."""
    repository = name.rpartition(":")[0]
    names = docker("image", "ls", "--format={{.Repository}}:{{.Tag}}", repository).stdout.split()
    for other in names:
        if other != name:
            docker("image", "rm", other, check=False)


def start() -> None:
    """Start our engine, unless an engine answers already.

    Raises:
        ClusterError: it does not come up, or another checkout's engine is half dead.
    """
    if answers():
        return
    if STATE.exists():
        _take_over(read_state())
    if os.geteuid() != 0:
        raise ClusterError("no container engine answers, and only root can start one")
    _save_state()
    command = [
        shutil.which("dockerd") or "/usr/sbin/dockerd",
        f"--host=unix://{paths.SOCKET}",
        f"--data-root={paths.ENGINE_DATA}",
        f"--exec-root={EXEC_ROOT}",
        f"--pidfile={PID_FILE}",
        # A control group of our own, so that tear-down finds what is ours.
        "--exec-opt=native.cgroupdriver=cgroupfs",
        f"--cgroup-parent=/{leftovers.CGROUP}",
        "--log-level=warn",
        *_runtime_options(),
    ]
    paths.LOGS.mkdir(parents=True, exist_ok=True)
    log_path = paths.LOGS / "engine.log"
    with log_path.open("ab") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    wait_until(lambda: process.poll() is not None or answers(), within_s=START_TIMEOUT_S_MAX)
    if not answers():
        end = "\n".join(log_path.read_text(errors="replace").splitlines()[-15:])
        raise ClusterError(f"the container engine did not start; the end of {log_path}:\n{end}")
    kernel.reject_outward("DOCKER-USER")


def stop() -> None:
    """Stop our engine, and leave nothing of it: no process, mount, bridge, rule, group, setting."""
    if not STATE.exists():
        return
    state = read_state()
    pid = running_pid()
    if pid is not None:
        os.kill(pid, signal.SIGTERM)
        if not wait_until(lambda: running_pid() is None, within_s=STOP_TIMEOUT_S_MAX):
            say("the engine does not end by itself; killing it")
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda: running_pid() is None, within_s=STOP_TIMEOUT_S_MAX)
    leftovers.remove(exec_root=EXEC_ROOT, data_root=Path(state.data_root))
    kernel.restore_forward_policies(state.forward_policies)
    kernel.restore_sysctls(state.sysctls)
    for path in map(Path, state.absent):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    shutil.rmtree(paths.RUN)


def running_pid() -> int | None:
    """Return the process of our engine; a stale file that names some other process is no answer."""
    try:
        pid = int(PID_FILE.read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        status = Path(f"/proc/{pid}/stat").read_text()
    except (OSError, ValueError):
        return None
    is_ended = status.rpartition(")")[2].split()[0] == "Z"
    return pid if str(PID_FILE).encode() in command and not is_ended else None


def read_state() -> State:
    return State(**json.loads(STATE.read_text()))


def _save_state() -> None:
    """Record what is about to change; what an earlier, killed engine changed stays on record."""
    if STATE.exists():
        return
    paths.RUN.mkdir(parents=True, exist_ok=True)
    state = State(
        checkout=str(paths.ROOT),
        data_root=str(paths.ENGINE_DATA),
        sysctls=kernel.read_sysctls(),
        forward_policies=kernel.read_forward_policies(),
        absent=[path for path in MADE_BY_ENGINE if not Path(path).exists()],
    )
    partial = STATE.with_suffix(".partial")
    partial.write_text(json.dumps(asdict(state), indent=2))
    partial.rename(STATE)


def _take_over(state: State) -> None:
    """Deal with an engine that was started and does not answer: killed, or of a checkout long gone."""
    if state.data_root == str(paths.ENGINE_DATA) and running_pid() is None:
        # Its containers may live on; a new engine over the same data ends them properly.
        PID_FILE.unlink(missing_ok=True)
        return
    say(f"an engine of {state.checkout} does not answer; removing what it left")
    stop()


def _runtime_options() -> list[str]:
    """Return the options that put our wrapper before runc, where this machine needs it."""
    if kernel.has_all_capabilities():
        return []
    programs.build((programs.WRAPPER,))
    return [f"--add-runtime=capbound={programs.WRAPPER.path}", "--default-runtime=capbound"]
