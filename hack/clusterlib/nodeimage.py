"""A kind node image from Debian packages and Go modules, where the published one cannot be had.

The root file system is Debian's, with kind's files and a few of ours on top; the images of the
control plane are written as archives; an unmodified `kind build node-image` puts both together and
finds every image it wants, so that it pulls none.
"""

import re
import shutil
import subprocess
from pathlib import Path

from clusterlib import debian, engine, paths, programs
from clusterlib.archive import Image, architecture, write_archive
from clusterlib.programs import NODE_PROGRAMS, TOOLS, Program
from clusterlib.shell import ClusterError, long_run, run

SUITE = "bookworm"  # its containerd (1.6) and runc (1.1) are the ones the node's files are made for
PACKAGES = (
    *("busybox-static", "ca-certificates", "catatonit", "conntrack", "containerd"),
    *("containernetworking-plugins", "ebtables", "ethtool", "iproute2", "iptables", "jq", "kmod"),
    *("libseccomp2", "mount", "nftables", "procps", "runc", "socat", "systemd", "util-linux"),
)
CONTROL_PLANE = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
FIREWALL_NAMES = ("iptables", "iptables-save", "iptables-restore")
BUILD = paths.WORK / "build"


def name() -> str:
    """Return the image's name; its tag changes with everything that goes into it."""
    return f"localhost/ald-kind-node:{programs.kubernetes_version()}-{_key()}"


def _key() -> str:
    sources = [Path(__file__), Path(__file__).with_name("archive.py")]
    # helm is the one program that is neither in the image nor makes it.
    keys = [program.key for program in (*TOOLS, *NODE_PROGRAMS) if program.name != "helm"]
    return paths.digest(SUITE, *PACKAGES, *keys, *sources, paths.DATA / "node")


def _base_name() -> str:
    return f"localhost/ald-kind-base:{_key()}"


def exists() -> bool:
    return engine.has_image(name())


def has_base() -> bool:
    return exists() or engine.has_image(_base_name())


def has_root() -> bool:
    return has_base() or debian.root_path("node", SUITE, PACKAGES).exists()


def make_root() -> None:
    debian.make_root("node", SUITE, PACKAGES)


def make_base() -> None:
    """Put kind's files and ours onto Debian's, and import the result."""
    root = BUILD / "base"
    debian.remove_tree(root)
    BUILD.mkdir(parents=True, exist_ok=True)
    run("cp", "-a", debian.root_path("node", SUITE, PACKAGES), root)
    _add_files(_kind_source() / "images/base/files", root)
    (root / "usr/local/bin/entrypoint").rename(root / "usr/local/bin/entrypoint.kind")
    _add_files(paths.DATA / "node", root)
    pause = next(image for image in _wanted_images() if "/pause:" in image)
    run("chroot", root, "/bin/bash", "/setup.sh", pause)
    (root / "setup.sh").unlink()
    import_root(root, _base_name(), "ENV container=docker")
    debian.remove_tree(root)


def _add_files(source: Path, root: Path) -> None:
    for file in sorted(path for path in source.rglob("*") if path.is_file()):
        place = root / file.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, place)
        is_program = place.parent.name == "bin"
        place.chmod(0o755 if is_program else 0o644)


def import_root(root: Path, image: str, *changes: str) -> None:
    """Import a root file system as an image of one layer.

    Raises:
        ClusterError: the engine refuses it.
    """
    options = [word for change in changes for word in ("-c", change)]
    with subprocess.Popen(
        ["tar", "--numeric-owner", "-C", root, "-c", "."], stdout=subprocess.PIPE
    ) as tar:
        done = subprocess.run(
            ["docker", "import", *options, "-", image],
            env=engine.client_environment(),
            stdin=tar.stdout,
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode != 0 or tar.returncode != 0:
        raise ClusterError(f"docker import {image} failed: {done.stderr.strip()}")


def make_image() -> None:
    """Write the archives, then let kind build the node image; scratch files go afterwards."""
    binaries = BUILD / "kubernetes" / "server" / "bin"
    shutil.rmtree(BUILD, ignore_errors=True)
    binaries.mkdir(parents=True)
    (BUILD / "kubernetes" / "version").write_text(programs.kubernetes_version())
    for program in ("kubeadm", "kubelet", "kubectl"):
        shutil.copy2(_binary(program), binaries / program)
    _write_archives(binaries)
    tarball = BUILD / f"kubernetes-server-linux-{architecture()}.tar.gz"
    long_run("node-image", "tar", "-C", BUILD, "-I", "gzip -1", "-cf", tarball, "kubernetes")
    long_run(
        "node-image",
        *(programs.tool("kind"), "build", "node-image", "--type=file", tarball),
        *(f"--base-image={_base_name()}", f"--image={name()}"),
        # kind unpacks 700 MB into the temporary directory and leaves them there.
        env={**engine.environment(), "TMPDIR": str(BUILD)},
    )
    engine.remove_older(name())
    engine.remove_older(_base_name())
    shutil.rmtree(BUILD)
    debian.remove_tree(debian.root_path("node", SUITE, PACKAGES))


def _write_archives(binaries: Path) -> None:
    wanted = _wanted_images()

    def tag(part: str) -> str:
        found = [image for image in wanted if f"/{part}:" in image]
        if len(found) != 1:
            raise ClusterError(f"{part}: not one image of this name among {wanted}")
        return found[0]

    for name_ in CONTROL_PLANE:
        write_archive(binaries / f"{name_}.tar", [_image(tag(name_), _binary(name_))])
    userland = _make_userland()
    root = debian.root_path("node", SUITE, PACKAGES)
    proxy = "/usr/local/bin/kube-proxy"
    write_archive(
        binaries / "kube-proxy.tar",
        [
            Image(
                tags=[tag("kube-proxy")],
                entrypoint=[proxy],
                tree=userland,
                programs={proxy: _binary("kube-proxy")},
            ),
            _image(tag("etcd"), _binary("etcd")),
            # kubeadm's manifest names no command for it but arguments only.
            Image(
                tags=[tag("coredns")],
                entrypoint=["/coredns"],
                programs={"/coredns": _binary("coredns")},
            ),
            Image(
                tags=[tag("pause")],
                entrypoint=["/pause", "-P"],
                programs={"/pause": root / "usr/bin/catatonit"},
            ),
            _image(tag("local-path-provisioner"), _binary("local-path-provisioner")),
            # kindnetd is never run: the nodes have a network of their own. kind wants its name.
            Image(
                tags=[tag("local-path-helper"), tag("kindnetd")],
                entrypoint=["/bin/sh"],
                tree=userland,
            ),
        ],
    )
    shutil.rmtree(userland)


def _image(tag: str, binary: Path) -> Image:
    place = f"/usr/local/bin/{binary.name}"
    return Image(tags=[tag], entrypoint=[place], programs={place: binary})


def _wanted_images() -> list[str]:
    """Return the images that kubeadm wants, and those that kind's own manifests name."""
    version = programs.kubernetes_version()
    command = (_binary("kubeadm"), "config", "images", "list", "--kubernetes-version", version)
    sources = (_kind_source() / "pkg/build/nodeimage").glob("const_*.go")
    text = "".join(source.read_text() for source in sources)
    return [*run(*command).stdout.split(), *re.findall(r'= "([^"\s]+/[^"\s]+:[^"\s]+)"', text)]


def _make_userland() -> Path:
    """Cut a small userland out of the node's: a shell and its tools, and the firewall's.

    The firewall's plugins have libraries of their own; where one is missing, kube-proxy keeps
    failing while all looks healthy, so a plugin is tried here.
    """
    root = debian.root_path("node", SUITE, PACKAGES)
    tree = BUILD / "userland"
    for directory in ("usr/bin", "usr/sbin", "usr/lib", "usr/lib64", "etc", "tmp", "run", "var"):
        (tree / directory).mkdir(parents=True)
    (tree / "tmp").chmod(0o1777)
    for link in ("bin", "sbin", "lib", "lib64"):
        (tree / link).symlink_to(f"usr/{link}")
    shutil.copy2(root / "usr/bin/busybox", tree / "usr/bin/busybox")
    for applet in run("chroot", root, "/usr/bin/busybox", "--list").stdout.split():
        if applet != "busybox":
            (tree / "usr/bin" / applet).symlink_to("busybox")
    firewall = "usr/sbin/xtables-nft-multi"
    plugins = [str(path.relative_to(root)) for path in root.glob("usr/lib/*/xtables/*.so")]
    for file in (firewall, *plugins):
        _copy_with_libraries(root, tree, file)
    for name_ in FIREWALL_NAMES:
        (tree / "usr/sbin" / name_).symlink_to("xtables-nft-multi")
        (tree / "usr/sbin" / name_.replace("ip", "ip6", 1)).symlink_to("xtables-nft-multi")
    for file in ("protocols", "services"):
        if (root / "etc" / file).exists():
            shutil.copy2(root / "etc" / file, tree / "etc" / file)
    (tree / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (tree / "etc/group").write_text("root:x:0:\n")
    run("chroot", tree, "/usr/sbin/iptables", "-m", "statistic", "--help")
    return tree


def _copy_with_libraries(root: Path, tree: Path, file: str) -> None:
    libraries = re.findall(r"/\S+", run("chroot", root, "/usr/bin/ldd", f"/{file}").stdout)
    for path in (file, *(library.lstrip("/") for library in libraries)):
        if not (tree / path).exists():
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / path, tree / path)
            (tree / path).chmod(0o755)


def _kind_source() -> Path:
    return programs.module_source("kind", "sigs.k8s.io/kind")


def _binary(name_: str) -> Path:
    every: tuple[Program, ...] = (*TOOLS, *NODE_PROGRAMS)
    return next(program.path for program in every if program.name == name_)
