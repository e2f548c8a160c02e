"""Image archives are the same for the same files, and are laid out as kind and containerd read them."""

import json
import tarfile
from pathlib import Path

import pytest

from clusterlib.archive import Image, write_archive


@pytest.fixture
def images(tmp_path: Path) -> list[Image]:
    tree = tmp_path / "tree"
    (tree / "etc").mkdir(parents=True)
    (tree / "etc/passwd").write_text("root:x:0:0::/:/bin/sh\n")
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")
    return [
        Image(tags=["a/one:1"], entrypoint=["/p"], tree=tree, programs={"/p": program}),
        Image(tags=["a/two:1", "b/two:2"], entrypoint=["/bin/sh"], tree=tree),
    ]


def members(archive: Path) -> list[str]:
    with tarfile.open(archive) as tar:
        return tar.getnames()


def read(archive: Path, name: str) -> bytes:
    with tarfile.open(archive) as tar:
        file = tar.extractfile(name)
        assert file is not None
        return file.read()


def test_repositories_come_before_the_manifest(images: list[Image], tmp_path: Path):
    write_archive(tmp_path / "out.tar", images)
    assert members(tmp_path / "out.tar")[:2] == ["repositories", "manifest.json"]


def test_every_tag_of_every_image_is_listed(images: list[Image], tmp_path: Path):
    write_archive(tmp_path / "out.tar", images)
    manifest = json.loads(read(tmp_path / "out.tar", "manifest.json"))
    assert [entry["RepoTags"] for entry in manifest] == [["a/one:1"], ["a/two:1", "b/two:2"]]


def test_images_of_the_same_tree_share_its_layer(images: list[Image], tmp_path: Path):
    write_archive(tmp_path / "out.tar", images)
    one, two = json.loads(read(tmp_path / "out.tar", "manifest.json"))
    assert one["Layers"][0] == two["Layers"][0]
    assert sum(name.endswith("layer.tar") for name in members(tmp_path / "out.tar")) == 2


def test_the_same_files_give_the_same_bytes(images: list[Image], tmp_path: Path):
    write_archive(tmp_path / "first.tar", images)
    (tmp_path / "program").touch()
    write_archive(tmp_path / "second.tar", images)
    first, second = members(tmp_path / "first.tar"), members(tmp_path / "second.tar")
    assert first == second
    assert read(tmp_path / "first.tar", "manifest.json") == read(
        tmp_path / "second.tar", "manifest.json"
    )


def test_programs_can_be_run_and_belong_to_root(images: list[Image], tmp_path: Path):
    write_archive(tmp_path / "out.tar", images)
    one, _ = json.loads(read(tmp_path / "out.tar", "manifest.json"))
    with (
        tarfile.open(tmp_path / "out.tar") as tar,
        tarfile.open(fileobj=tar.extractfile(one["Layers"][1])) as layer,
    ):
        program = layer.getmember("p")
    assert (program.mode, program.uid, program.gid) == (0o755, 0, 0)


def test_no_scratch_file_stays(images: list[Image], tmp_path: Path):
    before = set(tmp_path.iterdir())
    write_archive(tmp_path / "out.tar", images)
    assert set(tmp_path.iterdir()) - before == {tmp_path / "out.tar"}
