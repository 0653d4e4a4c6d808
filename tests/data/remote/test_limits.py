"""Limits of local copies: their room, names that no file can have, missing libraries, and servers that refuse."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.data.pixels import all_pixels
from tests.listener import Listener
from tests.object_server import BUCKET, ObjectServer
from transfercli.config.schema import ComputeConfig
from transfercli.data.dataset import Dataset
from transfercli.data.remote import arrivals, passing_files, stores
from transfercli.data.sources.storage.remote_inputs import fetched_copies, lacking_copies, remote_images
from transfercli.errors import DataError
from transfercli.reporting import Reporter

Load = Callable[..., Dataset]
Grow = Callable[..., Path]
ADDRESS = f"s3://{BUCKET}/images"


def stored_bytes(cache: Path) -> int:
    return sum(path.stat().st_size for path in (cache / "remote").rglob("*.png"))


def test_copies_give_way_and_are_not_fetched_again_while_their_pixels_are_cached(
    tmp_path: Path, grow: Grow, load: Load, server: ObjectServer, cache_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = grow(tmp_path / "images", {"a": 20, "b": 20})
    server.upload(folder, "images/")
    most = sum(path.stat().st_size for path in folder.rglob("*.png")) // 4
    monkeypatch.setattr(arrivals, "AHEAD_BYTES", most)
    monkeypatch.setattr(arrivals, "_NOTED", 4)
    compute = ComputeConfig(cache_max_gb=44 * 16 * 16 * 3 / 1e9)
    remote = load(tmp_path, train=ADDRESS, compute=compute)
    assert stored_bytes(cache_folder) <= most
    assert len(server.gets()) == 40
    again = load(tmp_path, train=ADDRESS, compute=compute)
    assert server.gets() == []
    assert all_pixels(again) == all_pixels(remote) == all_pixels(load(tmp_path))


def test_without_a_cache_every_image_is_read_from_its_copy(
    tmp_path: Path, grow: Grow, load: Load, server: ObjectServer
) -> None:
    server.upload(grow(tmp_path / "images", {"a": 8, "b": 8}), "images/")
    off = ComputeConfig(cache="off")
    first = load(tmp_path, train=ADDRESS, compute=off)
    assert len(server.gets()) == 16
    assert all_pixels(load(tmp_path, train=ADDRESS, compute=off)) == all_pixels(first)
    assert server.gets() == []


def test_keys_that_no_file_can_have_are_left_out_with_a_warning(
    tmp_path: Path, grow: Grow, load: Load, server: ObjectServer, reporter: Listener, cache_folder: Path
) -> None:
    folder = grow(tmp_path / "images", {"a": 8, "b": 8})
    server.upload(folder, "images/")
    content = next(folder.rglob("*.png")).read_bytes()
    for key in ("images/a//2.png", "images/a/" + "x" * 250 + ".png", "images/a/marker/"):
        server.client().put_object(Bucket=BUCKET, Key=key, Body=content)
    assert load(tmp_path, train=ADDRESS).records == load(tmp_path).records
    assert any("2 objects left out, with names that no file can have" in text for text in reporter.warnings)


def test_a_removed_object_is_gone_and_one_without_an_ending_is_known_by_its_first_bytes(
    tmp_path: Path, grow: Grow, load: Load, server: ObjectServer
) -> None:
    folder = grow(tmp_path / "images", {"a": 8, "b": 8})
    first, second = sorted(folder.rglob("*.png"))[:2]
    first.rename(first.with_suffix(""))
    (folder / "a" / "notes.txt").write_text("no image")
    server.upload(folder, "images/")
    assert load(tmp_path, train=ADDRESS).records == load(tmp_path).records
    second.unlink()
    server.client().delete_object(Bucket=BUCKET, Key=f"images/{second.relative_to(folder).as_posix()}")
    assert load(tmp_path, train=ADDRESS).records == load(tmp_path).records


@pytest.mark.parametrize(
    "address, message", [(f"s3://{BUCKET}/nothing", "holds no objects"), ("s3://no-bucket/images", r"404")]
)
def test_what_the_server_lacks_is_named(
    load: Load, server: ObjectServer, tmp_path: Path, address: str, message: str
) -> None:
    with pytest.raises(DataError, match=message) as error:
        load(tmp_path, train=address)
    assert "spelling of bucket and path" in str(error.value.hint)


@pytest.mark.parametrize("scheme, module", [("s3", "s3fs"), ("gs", "gcsfs")])
def test_a_missing_library_is_named_with_the_line_that_installs_it(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str, module: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    stores._store.cache_clear()
    with pytest.raises(DataError, match=f"{scheme}:// addresses need a library") as error:
        load(tmp_path, train=f"{scheme}://bucket/images")
    assert error.value.hint == "pip install 'transfercli[remote]'"


def test_an_error_names_the_address_and_not_its_local_copy(
    tmp_path: Path, grow: Grow, load: Load, server: ObjectServer, cache_folder: Path
) -> None:
    server.upload(grow(tmp_path / "images", {"a": 4, "b": 4}), "images/")
    with pytest.raises(DataError, match=f"'{ADDRESS}/a' has no class sub-folders") as error:
        load(tmp_path, train=f"{ADDRESS}/a")
    assert str(cache_folder) not in f"{error.value} {error.value.message} {error.value.hint}"


def test_copies_give_way_to_the_next_part_of_the_images_of_a_command(
    tmp_path: Path, grow: Grow, server: ObjectServer, cache_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = grow(tmp_path / "images", {"a": 20, "b": 20})
    server.upload(folder, "images/")
    most = sum(path.stat().st_size for path in folder.rglob("*.png")) // 4
    for module in (arrivals, passing_files):
        monkeypatch.setattr(module, "AHEAD_BYTES", most)
    monkeypatch.setattr(ComputeConfig.model_fields["cache_max_gb"], "default", most / 1e9)
    ComputeConfig.model_rebuild(force=True)
    local = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.png")}
    files = {}
    for image in remote_images(ADDRESS):
        assert Path(image.file).read_bytes() == local[image.path.removeprefix(f"{ADDRESS}/")]
        assert stored_bytes(cache_folder) <= most
        files[image.file] = image.path
    assert len(files) == 40
    lacking = lacking_copies([*files])
    assert len(lacking) > 20
    [file] = fetched_copies(lacking[:1], Reporter())
    assert Path(file).read_bytes() == local[files[file].removeprefix(f"{ADDRESS}/")]
