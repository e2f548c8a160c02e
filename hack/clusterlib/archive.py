"""Write image archives (the `docker save` format) without any engine.

Everything is in fixed order and of fixed time, so that the same files give the same image. Images
of one archive that name the same tree share its layer.
"""

import hashlib
import io
import json
import platform
import shutil
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

SOURCE_TIME_S = 1_700_000_000  # seconds since 1970; any fixed time would do
CREATED = "2023-11-14T22:13:20Z"
SEARCH_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True, kw_only=True)
class Image:
    """An image of one optional tree and single files on top, all owned by root."""

    tags: Sequence[str]
    entrypoint: Sequence[str]
    tree: Path | None = None
    programs: Mapping[str, Path] = field(default_factory=dict)  # place in the image -> source


@dataclass(frozen=True)
class Layer:
    """A layer's file and the digest the engine knows it by."""

    digest: str
    path: Path


def architecture() -> str:
    machine = platform.machine()
    return ARCHITECTURES.get(machine, machine)


def write_archive(out: Path, images: Sequence[Image]) -> None:
    """Write all images into one archive.

    `repositories` comes first: kind reads the tags of the first image only, unless it meets that
    entry before `manifest.json`.
    """
    scratch = out.with_suffix(".layers")
    scratch.mkdir(parents=True, exist_ok=True)
    layers: dict[str, Layer] = {}
    manifest: list[dict[str, object]] = []
    configs: dict[str, bytes] = {}
    repositories: dict[str, dict[str, str]] = {}
    for image in images:
        used = _layers_of(image, scratch, layers)
        config = _config(image, used)
        name = f"{hashlib.sha256(config).hexdigest()}.json"
        configs[name] = config
        manifest.append(
            {
                "Config": name,
                "RepoTags": list(image.tags),
                "Layers": [f"{layer.digest}/layer.tar" for layer in used],
            }
        )
        for tag in image.tags:
            repository, version = tag.rsplit(":", 1)
            repositories.setdefault(repository, {})[version] = used[-1].digest
    with tarfile.open(out, "w", format=tarfile.GNU_FORMAT) as tar:
        _put(tar, "repositories", json.dumps(repositories).encode())
        _put(tar, "manifest.json", json.dumps(manifest).encode())
        for name, config in configs.items():
            _put(tar, name, config)
        for layer in {layer.digest: layer for layer in layers.values()}.values():
            info = tar.gettarinfo(layer.path, f"{layer.digest}/layer.tar")
            with layer.path.open("rb") as source:
                tar.addfile(_plain(info), source)
    shutil.rmtree(scratch)


def _layers_of(image: Image, scratch: Path, known: dict[str, Layer]) -> list[Layer]:
    keys = []
    if image.tree is not None:
        keys.append(str(image.tree))
        if str(image.tree) not in known:
            known[str(image.tree)] = _layer_of_tree(image.tree, scratch / f"{len(known)}")
    if image.programs:
        key = json.dumps({place: str(source) for place, source in image.programs.items()})
        keys.append(key)
        if key not in known:
            known[key] = _layer_of_programs(image.programs, scratch / f"{len(known)}")
    return [known[key] for key in keys]


def _layer_of_tree(tree: Path, path: Path) -> Layer:
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:
        for item in sorted(tree.rglob("*")):
            tar.add(item, str(item.relative_to(tree)), recursive=False, filter=_plain)
    return Layer(_digest(path), path)


def _layer_of_programs(programs: Mapping[str, Path], path: Path) -> Layer:
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:
        parents = {parent for place in programs for parent in Path(place).parents}
        for directory in sorted(str(parent).lstrip("/") for parent in parents):
            if directory:
                _put_directory(tar, directory, 0o755)
        _put_directory(tar, "tmp", 0o1777)
        for place, source in programs.items():
            info = tar.gettarinfo(source, place.lstrip("/"))
            info.mode = 0o755
            with source.open("rb") as content:
                tar.addfile(_plain(info), content)
    return Layer(_digest(path), path)


def _config(image: Image, layers: Sequence[Layer]) -> bytes:
    return json.dumps(
        {
            "architecture": architecture(),
            "os": "linux",
            "created": CREATED,
            "config": {"Env": [SEARCH_PATH], "Entrypoint": list(image.entrypoint)},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{la.digest}" for la in layers]},
            "history": [{"created": CREATED} for _ in layers],
        }
    ).encode()


def _plain(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.mtime = SOURCE_TIME_S
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    return info


def _put(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    info.mode = 0o644
    tar.addfile(_plain(info), io.BytesIO(content))


def _put_directory(tar: tarfile.TarFile, name: str, mode: int) -> None:
    info = tarfile.TarInfo(name)
    info.type = tarfile.DIRTYPE
    info.mode = mode
    tar.addfile(_plain(info))


def _digest(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
