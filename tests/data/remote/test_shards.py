"""Tar shards as WebDataset has them, on disk and in an object store: the same images as in a folder."""

from __future__ import annotations

import io
import json
import tarfile  # noqa: TID251 - written here, never unpacked
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.data.pixels import all_pixels
from tests.object_server import BUCKET, ObjectServer
from transfercli.data.archive_members import read_bytes
from transfercli.data.dataset import Dataset
from transfercli.data.image import InputImage
from transfercli.data.sources.inputs import expand_inputs
from transfercli.errors import DataError

Load = Callable[..., Dataset]
Grow = Callable[..., Path]


def write_tar(path: Path, members: Mapping[str, bytes], form: int = tarfile.PAX_FORMAT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=form) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def shards(images: Path, folder: Path, ending: str = "cls", size: int = 8) -> list[Path]:
    """Write the images of a folder of classes as shards of `size` images."""
    written, files = [], sorted(images.rglob("*.png"))
    for number, start in enumerate(range(0, len(files), size)):
        members = dict[str, bytes]()
        for row, file in enumerate(files[start : start + size], start):
            label = file.parent.name
            members[f"{row:06}.png"] = file.read_bytes()
            members[f"{row:06}.{ending}"] = (
                json.dumps({"label": label}).encode() if ending == "json" else label.encode()
            )
        written.append(write_tar(folder / f"train-{number:06}.tar", members))
    return written


@pytest.fixture
def images(tmp_path: Path, grow: Grow) -> Path:
    return grow(tmp_path / "images", {"a": 12, "b": 12})


def contents(dataset: Dataset) -> list[tuple[str, str]]:
    return sorted((record.sha256, record.label) for record in dataset.records)


@pytest.mark.parametrize("ending", ["cls", "json", "txt"])
@pytest.mark.parametrize("given", ["shards/train-{000000..000002}.tar", "shards"])
def test_local_shards_hold_the_images_and_labels_of_the_folder(
    images: Path, load: Load, tmp_path: Path, ending: str, given: str
) -> None:
    shards(images, tmp_path / "shards", ending)
    dataset = load(tmp_path, train=given)
    assert contents(dataset) == contents(load(tmp_path))
    assert dataset.records[0].path == "train-000000.tar/000000.png"


def test_remote_shards_are_fetched_as_one_object_each(
    images: Path, load: Load, tmp_path: Path, server: ObjectServer
) -> None:
    shards(images, tmp_path / "shards")
    server.upload(tmp_path / "shards", "shards/")
    local = load(tmp_path, train="shards")
    server.gets()
    remote = load(tmp_path, train=f"s3://{BUCKET}/shards/train-{{000000..000002}}.tar")
    assert server.gets() == [f"shards/train-00000{number}.tar" for number in range(3)]
    assert remote.records == local.records
    assert all_pixels(remote) == all_pixels(local)
    assert load(tmp_path, train=f"s3://{BUCKET}/shards").records == local.records
    assert server.gets() == []


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_format_of_tar_is_read_with_long_names(images: Path, load: Load, tmp_path: Path, form: int) -> None:
    members = dict[str, bytes]()
    for file in sorted(images.rglob("*.png")):
        key = f"./{'deep' * 20}/{'long' * 20 if form == tarfile.USTAR_FORMAT else 'ü' * 100}/{file.stem}"
        members |= {f"{key}.png": file.read_bytes(), f"{key}.cls": file.parent.name.encode()}
    write_tar(tmp_path / "all.tar", members, form)
    assert contents(load(tmp_path, train="all.tar")) == contents(load(tmp_path))


def test_archives_are_divided_into_splits_by_their_names(images: Path, load: Load, tmp_path: Path, grow: Grow) -> None:
    shards(images, tmp_path / "shards")
    for number, split in enumerate(("val", "test"), 1):
        held_out = grow(tmp_path / split, {"a": 4, "b": 4}, 100 * number)
        [archive] = shards(held_out, tmp_path / f"tar-{split}")
        archive.rename(tmp_path / f"shards/{split}-000000.tar")
    dataset = load(tmp_path, train="shards")
    assert {name: len(split) for name, split in dataset.splits.items()} == {"train": 24, "validation": 8, "test": 8}


def hostile_tar(path: Path, kind: bytes, name: str = "000000.png") -> Path:
    with tarfile.open(path, "w") as archive:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, "/etc/passwd"
        archive.addfile(info)
    return path


@pytest.mark.parametrize("name", ["../../outside.png", "/etc/passwd.png", "a/../../b.png", "a//b.png"])
def test_a_member_whose_name_leads_out_is_refused(load: Load, tmp_path: Path, name: str) -> None:
    write_tar(tmp_path / "all.tar", {name: b"x", "000001.cls": b"a"})
    with pytest.raises(DataError, match="leads out of the archive"):
        load(tmp_path, train="all.tar")
    assert [path.name for path in tmp_path.iterdir()] == ["all.tar"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE])
def test_links_and_devices_are_no_members(load: Load, tmp_path: Path, kind: bytes) -> None:
    hostile_tar(tmp_path / "all.tar", kind)
    with pytest.raises(DataError, match="hold no images"):
        load(tmp_path, train="all.tar")


@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda content: content[:700], "cut off"),
        (lambda content: b"\x1f\x8b" + content[2:], "packed by gzip"),
        (lambda content: content[:148] + b"0000000\0" + content[156:], "no tar archive"),
        (lambda content: content[:0], "no tar archive"),
    ],
)
def test_a_damaged_archive_is_named(
    load: Load, tmp_path: Path, damage: Callable[[bytes], bytes], message: str, png: Callable[[int], bytes]
) -> None:
    path = write_tar(tmp_path / "all.tar", {"000000.png": png(0), "000000.cls": b"a"})
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=f"all.tar cannot be read: .*{message}"):
        load(tmp_path, train="all.tar")


def test_a_pax_header_with_a_number_of_thousands_of_digits_is_damaged(load: Load, tmp_path: Path) -> None:
    info = tarfile.TarInfo("000000.png")
    info.pax_headers = {"size": "9" * 5000}
    (tmp_path / "all.tar").write_bytes(info.tobuf(tarfile.PAX_FORMAT) + b"\0" * 1024)
    with pytest.raises(DataError, match="a header is damaged"):
        load(tmp_path, train="all.tar")


@pytest.mark.parametrize("ending", ["cls", "txt", "json"])
def test_a_label_that_is_not_utf_8_is_refused_and_not_changed(
    load: Load, tmp_path: Path, png: Callable[[int], bytes], ending: str
) -> None:
    write_tar(tmp_path / "all.tar", {"000000.png": png(0), f"000000.{ending}": b'{"label": "b\xe9"}'})
    with pytest.raises(DataError, match=f"000000.{ending} is in another encoding than UTF-8"):
        load(tmp_path, train="all.tar")


def test_a_member_larger_than_its_archive_is_refused(load: Load, tmp_path: Path) -> None:
    info = tarfile.TarInfo("000000.png")
    info.size = 1 << 60
    (tmp_path / "all.tar").write_bytes(info.tobuf(tarfile.GNU_FORMAT) + b"\0" * 1024)
    with pytest.raises(DataError, match="cut off"):
        load(tmp_path, train="all.tar")


def test_an_image_without_a_label_and_braces_without_files_are_named(
    load: Load, tmp_path: Path, png: Callable[[int], bytes]
) -> None:
    write_tar(tmp_path / "all.tar", {"000000.png": png(0)})
    with pytest.raises(DataError, match="000000 has no label"):
        load(tmp_path, train="all.tar")
    with pytest.raises(DataError, match="3 archives of 3 missing"):
        load(tmp_path, train="no-{0..2}.tar")


def test_predict_takes_the_images_of_archives(
    images: Path, tmp_path: Path, server: ObjectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    archives = shards(images, tmp_path / "shards")
    server.upload(tmp_path / "shards", "shards/")
    monkeypatch.setenv("TRANSFERCLI_CACHE", str(tmp_path / "cache"))
    write_tar(tmp_path / "labels.tar", {"1.cls": b"a", ".2.png": b""})
    names = [f"train-{number // 8:06}.tar/{number:06}.png" for number in range(24)]

    def found(path: str) -> list[InputImage]:
        return list(expand_inputs([path], lambda: iter(())))

    for path in (f"{tmp_path}/shards/train-{{000000..000002}}.tar", f"{tmp_path}/shards", f"{tmp_path}/shards/*.tar"):
        assert [(one.path, one.problem) for one in found(path)] == [(f"{tmp_path}/shards/{name}", "") for name in names]
    assert [one.path for one in found(str(archives[1]))] == [f"{tmp_path}/shards/{name}" for name in names[8:16]]
    address = f"s3://{BUCKET}/shards"
    for path in (address, f"{address}/train-{{000000..000002}}.tar"):
        assert [one.path for one in found(path)] == [f"{address}/{name}" for name in names]
        assert all(read_bytes(one.file).startswith(b"\x89PNG") for one in found(path))
    assert [one.problem for one in found(f"{tmp_path}/labels.tar")] == ["no image in this archive"]
    assert [one.path for one in found(f"{address}/train-000009.tar")] == [f"{address}/train-000009.tar"]
    assert "does not exist" in found(f"{address}/train-000009.tar")[0].problem
    (secret,) = found(f"s3://u:pw@{BUCKET}/shards/train-000000.tar")
    assert "user or a password" in secret.problem
    assert "pw" not in secret.path
