"""The cluster itself: kind creates, loads and deletes it, whichever node image it got."""

import json
import re
import resource
from dataclasses import dataclass
from pathlib import Path

from clusterlib import engine, kernel, leftovers, nodeimage, paths, programs
from clusterlib.shell import ClusterError, long_run, run, say, succeeds, wait_until

NAME = "ald"
NETWORK = "kind"
LABEL = "io.x-k8s.kind.cluster"
WHOLE = "/kind/ald-whole"
DNS_NAME = "kubernetes.default.svc.cluster.local"
INSIDE_ZONES = "cluster.local:53 in-addr.arpa:53 ip6.arpa:53"
OUTSIDE_ZONE = "\n.:53 {\n    errors\n    template ANY ANY {\n        rcode NXDOMAIN\n    }\n}\n"
POD_SUBNET = "10.244.0.0/16"
READY_TIMEOUT_S_MAX = 180
RESTART_TIMEOUT_S_MAX = 90.0
LOAD_TIMEOUT_S_MAX = 600.0
FILES_OPEN_MAX = 1_000_000  # kubelet's own default


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A cluster by name, and which image its nodes have."""

    name: str
    is_built: bool

    @property
    def kubeconfig(self) -> Path:
        """Where its address and credentials are; another cluster's never replace them."""
        return paths.WORK / ("kubeconfig" if self.name == NAME else f"kubeconfig-{self.name}")

    def kind(self, *arguments: str | Path, timeout_s: float = LOAD_TIMEOUT_S_MAX) -> str:
        command = [str(programs.tool("kind")), *map(str, arguments), f"--name={self.name}"]
        return run(*command, env=engine.environment(), timeout_s=timeout_s).stdout

    def kubectl_command(self) -> list[str]:
        return [str(programs.tool("kubectl")), f"--kubeconfig={self.kubeconfig}"]

    def kubectl(self, *arguments: str, timeout_s: float = READY_TIMEOUT_S_MAX) -> str:
        return run(*self.kubectl_command(), *arguments, timeout_s=timeout_s).stdout

    def nodes(self) -> list[str]:
        """Return the containers that are its nodes, running or not."""
        return _containers(f"{LABEL}={self.name}")

    def is_whole(self) -> bool:
        """Tell whether it came up to the end once; the mark is in the node, and goes with it."""
        return all(
            engine.docker("exec", node, "test", "-e", WHOLE, check=False).returncode == 0
            for node in self.nodes()
        )

    def answers(self) -> bool:
        return self.kubeconfig.exists() and succeeds(
            *self.kubectl_command(), "get", "--raw=/readyz", "--request-timeout=5s", timeout_s=10
        )


def all_nodes() -> list[str]:
    """Return the nodes of all clusters of the engine, whatever their names."""
    return _containers(LABEL)


def _containers(label: str) -> list[str]:
    listing = engine.docker("ps", "-a", f"--filter=label={label}", "--format={{.Names}}")
    return listing.stdout.split()


def is_up(cluster: Cluster) -> bool:
    """Tell whether the cluster came up whole and answers; a stopped one is started again.

    Raises:
        ClusterError: it was whole and does not answer; it may hold what somebody wants to keep.
    """
    nodes = cluster.nodes() if engine.answers() else []
    if not nodes:
        return False
    engine.docker("start", *nodes)
    if not cluster.is_whole():
        return False
    cluster.kind("export", "kubeconfig", f"--kubeconfig={cluster.kubeconfig}")
    if not wait_until(cluster.answers, within_s=RESTART_TIMEOUT_S_MAX):
        raise ClusterError(
            f"cluster {cluster.name} exists and does not answer. To make it anew, without what "
            f"is stored in it: hack/cluster down --name {cluster.name}, then hack/cluster up"
        )
    return True


def create(cluster: Cluster) -> None:
    """Create the cluster and wait for its network, DNS and storage.

    Raises:
        ClusterError: with what kind or kubectl said.
    """
    if cluster.nodes():
        say("      an earlier try was left half made; making the cluster anew")
        delete(cluster)
    if cluster.is_built:
        _contain()
    config = paths.WORK / "kind.json"
    config.write_text(json.dumps(_config(cluster), indent=2))
    image = [f"--image={nodeimage.name()}"] if cluster.is_built else []
    long_run(
        "create-cluster",
        *(str(programs.tool("kind")), "create", "cluster", f"--name={cluster.name}", *image),
        *(f"--config={config}", f"--kubeconfig={cluster.kubeconfig}", "--wait=120s"),
        env=engine.environment(),
    )
    if cluster.is_built:
        _answer_outside_names_at_once(cluster)
    for namespace, workload in (
        ("kube-system", "daemonset/kube-proxy"),
        ("kube-system", "deployment/coredns"),
        ("local-path-storage", "deployment/local-path-provisioner"),
    ):
        limit = f"--timeout={READY_TIMEOUT_S_MAX}s"
        cluster.kubectl(
            *("-n", namespace, "rollout", "status", workload, limit),
            timeout_s=READY_TIMEOUT_S_MAX + 10,
        )
    if not wait_until(lambda: _has_default_account(cluster), within_s=READY_TIMEOUT_S_MAX):
        raise ClusterError("the cluster did not make its default service account")
    if cluster.is_built and not wait_until(
        lambda: _dns_answers(cluster), within_s=READY_TIMEOUT_S_MAX
    ):
        raise ClusterError(
            "cluster DNS does not answer at its Service's address. See the logs of coredns and "
            "kube-proxy in the namespace kube-system"
        )
    for node in cluster.nodes():
        engine.docker("exec", node, "touch", WHOLE)


def _answer_outside_names_at_once(cluster: Cluster) -> None:
    """Let cluster DNS say that names outside do not exist, instead of asking in vain for seconds."""
    dns = ("-n", "kube-system")
    settings = cluster.kubectl(*dns, "get", "configmap/coredns", "-o", "jsonpath={.data.Corefile}")
    inside = re.sub(r"forward \. /etc/resolv\.conf \{[^}]*\}", "", settings)
    closed = inside.replace(".:53 {", f"{INSIDE_ZONES} {{", 1) + OUTSIDE_ZONE
    patch = json.dumps({"data": {"Corefile": closed}})
    cluster.kubectl(*dns, "patch", "configmap/coredns", "--type=merge", "-p", patch)
    cluster.kubectl(*dns, "rollout", "restart", "deployment/coredns")


def _has_default_account(cluster: Cluster) -> bool:
    """Tell whether pods can be created in the namespace `default` yet."""
    return succeeds(*cluster.kubectl_command(), "get", "serviceaccount", "default")


def _dns_answers(cluster: Cluster) -> bool:
    """Ask cluster DNS at its Service's address, which proves kube-proxy's rules, too.

    kube-proxy stays "running" and "ready" when its firewall tools fail it.
    """
    service = ("-n", "kube-system", "get", "service/kube-dns", "-o", "jsonpath={.spec.clusterIP}")
    question = ("busybox", "nslookup", DNS_NAME, cluster.kubectl(*service))
    return all(
        engine.docker("exec", node, *question, check=False).returncode == 0
        for node in cluster.nodes()
    )


def _config(cluster: Cluster) -> dict[str, object]:
    """Return kind's configuration (as JSON, which is YAML)."""
    networking: dict[str, object] = {"podSubnet": POD_SUBNET, "apiServerAddress": "127.0.0.1"}
    config: dict[str, object] = {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "networking": networking,
        "nodes": [{"role": "control-plane"}],
    }
    if cluster.is_built:
        networking["disableDefaultCNI"] = True
        # What this machine may not be able to give, and what is not asked for anyway.
        _, files_open_max = resource.getrlimit(resource.RLIMIT_NOFILE)
        kubelet = {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "oomScoreAdj": 0,
            "maxOpenFiles": min(files_open_max, FILES_OPEN_MAX),
        }
        proxy = {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "oomScoreAdj": 0,
        }
        config["kubeadmConfigPatches"] = [json.dumps(kubelet), json.dumps(proxy)]
    return config


def _contain() -> None:
    """Keep everything in the cluster from leaving by an outside interface, before it exists.

    The network is made here because kind would make one with IPv6, which no rule of the engine
    covers.
    """
    inspect = ("network", "inspect", NETWORK, "--format={{json .Options}} {{.Id}}")
    if engine.docker(*inspect, check=False).returncode != 0:
        option = f"com.docker.network.bridge.name={leftovers.BRIDGE}"
        engine.docker("network", "create", "--driver=bridge", f"--opt={option}", NETWORK)
    options, _, network_id = engine.docker(*inspect).stdout.strip().rpartition(" ")
    named = json.loads(options).get("com.docker.network.bridge.name")
    kernel.reject_outward("DOCKER-USER", source=named or f"br-{network_id[:12]}")


def load(cluster: Cluster, images: list[str]) -> None:
    """Copy images of the engine into all nodes."""
    for image in images:
        if not engine.has_image(image):
            raise ClusterError(f"{image}: the engine has no such image. Build it first")
    cluster.kind("load", "docker-image", *images)


def delete(cluster: Cluster) -> None:
    cluster.kind("delete", "cluster", f"--kubeconfig={cluster.kubeconfig}")
    cluster.kubeconfig.unlink(missing_ok=True)
