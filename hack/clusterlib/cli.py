"""The command line of hack/cluster."""

import argparse
import contextlib
import fcntl
import shlex
import shutil
from collections.abc import Callable, Iterator

from clusterlib import baseimage, choice, debian, engine, kind, nodeimage, paths, programs
from clusterlib.choice import Way
from clusterlib.kind import Cluster
from clusterlib.programs import NODE_PROGRAMS, TOOLS
from clusterlib.shell import ClusterError, say
from clusterlib.steps import Step, carry_out, together

NOT_READY = 1
NOT_THERE = 3


def main() -> int:
    arguments = _parser().parse_args()
    command: Callable[[argparse.Namespace], int] = arguments.command
    try:
        return command(arguments)
    except ClusterError as error:
        say(f"hack/cluster: {error}")
    except KeyboardInterrupt:
        say("hack/cluster: interrupted; the same command goes on where it stopped")
    return NOT_READY


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hack/cluster",
        description="A Kubernetes cluster (kind) on this machine, with or without a registry. "
        f"{choice.VARIABLE}=auto|stock|built chooses where its node image comes from.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, command: Callable[[argparse.Namespace], int], text: str) -> None:
        one = commands.add_parser(name, help=text, description=text)
        one.set_defaults(command=command)
        if name in ("up", "down", "status", "load", "env"):
            one.add_argument("--name", default=kind.NAME, help=f"the cluster's name ({kind.NAME})")
        if name == "down":
            one.add_argument("--purge", action="store_true", help="remove what was built, too")
        if name == "load":
            one.add_argument("images", nargs="+", metavar="IMAGE")
        if name == "engine":
            one.add_argument("action", choices=("up", "down"))

    add("up", up, "Create the cluster, or see that it is up; repeat it as you like.")
    add("down", down, "Remove the cluster, and the engine if it is ours, without a trace.")
    add("status", status, "Say what is up: exit 0 ready, 1 not ready, 3 not there.")
    add("load", load, "Copy images of the engine into the cluster.")
    add("tools", tools, "Build kubectl, helm, kind, etcd and kube-apiserver only.")
    add("engine", engine_command, "Start or stop the container engine only.")
    add("env", env, 'Print what a shell needs: eval "$(hack/cluster env)".')
    return parser


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Let one change of the cluster happen at a time."""
    paths.WORK.mkdir(parents=True, exist_ok=True)
    with (paths.WORK / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another hack/cluster to end …")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def up(arguments: argparse.Namespace) -> int:
    with alone():
        way = choice.choose()
        cluster = Cluster(name=arguments.name, is_built=way is Way.BUILT)
        carry_out([*_preparation(way), _creation(cluster)])
        programs.drop_build_cache()
    say(f'cluster {cluster.name} is up. To use it: eval "$(hack/cluster env)"')
    print(f"export KUBECONFIG={shlex.quote(str(cluster.kubeconfig))}")
    return 0


def _preparation(way: Way) -> list[Step]:
    if way is Way.STOCK:
        return [_tools()]
    host_packages, engine_ = engine_steps()
    return [
        host_packages,
        _tools(),
        engine_,
        Step(
            title="the node's programs and Debian packages",
            usually="4 min",
            is_done=lambda: programs.are_built(NODE_PROGRAMS) and nodeimage.has_root(),
            # Our own images' packages as well: the network has time while the processors have none.
            do=together(
                lambda: programs.build(NODE_PROGRAMS), nodeimage.make_root, baseimage.make_roots
            ),
        ),
        Step(
            title="the node's base image",
            usually="10 s",
            is_done=nodeimage.has_base,
            do=nodeimage.make_base,
        ),
        Step(
            title="the node image",
            usually="1 min",
            is_done=nodeimage.exists,
            do=nodeimage.make_image,
        ),
    ]


def _creation(cluster: Cluster) -> Step:
    return Step(
        title=f"cluster {cluster.name}",
        usually="40 s",
        is_done=lambda: kind.is_up(cluster),
        do=lambda: kind.create(cluster),
    )


def _tools() -> Step:
    return Step(
        title="kubectl, helm, kind and an API server for tests",
        usually="5 min",
        is_done=lambda: programs.are_built(TOOLS),
        do=lambda: programs.build(TOOLS),
    )


def base_images() -> int:
    """Print a line ARGUMENT=IMAGE for each base image, after making those that have to be made."""
    try:
        with alone():
            images = baseimage.published()
            if choice.choose() is Way.BUILT:
                carry_out([*engine_steps(), baseimage.step()])
                images = baseimage.made()
    except ClusterError as error:
        say(f"hack/base-image: {error}")
        return 1
    for argument, image in images.items():
        print(f"{argument}={image}")
    return 0


def engine_steps() -> list[Step]:
    """Return the steps to a container engine that answers."""
    return [
        Step(
            title="a container engine from Debian packages",
            usually="30 s",
            is_done=debian.are_host_packages_installed,
            do=debian.install_host_packages,
        ),
        Step(title="the container engine", usually="3 s", is_done=engine.answers, do=engine.start),
    ]


def down(arguments: argparse.Namespace) -> int:
    cluster = Cluster(name=arguments.name, is_built=False)
    with alone():
        if engine.is_ours() or engine.holds_containers():
            # Only an engine removes containers in order, be it one that was killed before.
            with contextlib.suppress(ClusterError):
                engine.start()
        if engine.answers() and cluster.nodes():
            say(f"deleting cluster {cluster.name}")
            try:
                kind.delete(cluster)
            except ClusterError as error:
                if not engine.is_ours():
                    raise
                say(f"kind could not delete it ({error}); removing it by force")
        others = _nodes_of_others(cluster)
        if others and not arguments.purge:
            say(f"cluster {cluster.name} is gone; these nodes keep the engine: {', '.join(others)}")
            return 0
        _stop_engine()
        if arguments.purge:
            shutil.rmtree(paths.TOOLS, ignore_errors=True)
            debian.remove_tree(paths.WORK)
    say("nothing of the cluster is left running")
    return 0


def _nodes_of_others(cluster: Cluster) -> list[str]:
    if not engine.is_ours() or not engine.answers():
        return []
    return sorted({*kind.all_nodes()} - {*cluster.nodes()})


def _stop_engine() -> None:
    if engine.is_ours():
        say("stopping the container engine")
        engine.stop()
        for file in paths.WORK.glob("kubeconfig*"):
            file.unlink()


def status(arguments: argparse.Namespace) -> int:
    cluster = Cluster(name=arguments.name, is_built=False)
    if not engine.answers():
        print("engine: " + ("started, but does not answer" if engine.is_ours() else "none"))
        return NOT_READY if engine.is_ours() else NOT_THERE
    print("engine: " + ("ours, answers" if engine.is_ours() else "the machine's own, answers"))
    if not cluster.nodes():
        print(f"cluster {cluster.name}: not there. To make it: hack/cluster up")
        return NOT_THERE
    if not cluster.is_whole():
        print(f"cluster {cluster.name}: half made or stopped. To repair it: hack/cluster up")
        return NOT_READY
    if not cluster.answers():
        print(f"cluster {cluster.name}: its API server does not answer. Try: hack/cluster up")
        return NOT_READY
    print(f"cluster {cluster.name}: up, KUBECONFIG={cluster.kubeconfig}")
    print(cluster.kubectl("get", "nodes").rstrip())
    return 0


def load(arguments: argparse.Namespace) -> int:
    cluster = Cluster(name=arguments.name, is_built=False)
    if not engine.answers() or not cluster.nodes():
        raise ClusterError(f"cluster {cluster.name} is not up. Run: hack/cluster up")
    kind.load(cluster, arguments.images)
    return 0


def tools(_: argparse.Namespace) -> int:
    with alone():
        carry_out([_tools()])
        # The compiler's cache makes the node's programs cheaper, where those are still to come.
        if programs.are_built(NODE_PROGRAMS) or not debian.can_install():
            programs.drop_build_cache()
    print(paths.TOOLS)
    return 0


def engine_command(arguments: argparse.Namespace) -> int:
    with alone():
        if arguments.action == "down":
            _stop_engine()
        elif not engine.answers():
            carry_out(engine_steps())
    return 0


def env(arguments: argparse.Namespace) -> int:
    kubeconfig = Cluster(name=arguments.name, is_built=False).kubeconfig
    for name, value in {"KUBECONFIG": str(kubeconfig), **engine.environment()}.items():
        print(f"export {name}={shlex.quote(value)}")
    print(f'export PATH={shlex.quote(str(paths.TOOLS))}:"$PATH"')
    return 0
