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
from transfercli.data.decoding.decode import decode_file
from transfercli.data.image import Geometry, InputImage
from transfercli.data.remote import arrivals, fsspec_store, passing_files, stores, versions
from transfercli.data.sources.storage import remote_inputs
from transfercli.data.sources.storage.remote_inputs import lacking_copies, remote_images
from transfercli.errors import DataError, Interrupted
from transfercli.reporting import Reporter
from transfercli.workflows.predict.predict import _decoded_again

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
    monkeypatch.setattr(remote_inputs, "ComputeConfig", lambda: ComputeConfig(cache_max_gb=most / 1e9))
    local = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.png")}
    files = {}
    for image in remote_images(ADDRESS):
        assert Path(image.file).read_bytes() == local[image.path.removeprefix(f"{ADDRESS}/")]
        assert stored_bytes(cache_folder) <= most
        files[image.file] = image.path
    assert len(files) == 40
    lacking = lacking_copies([*files])
    assert len(lacking) > 20
    image, geometry = InputImage(files[lacking[0]], file=lacking[0]), Geometry(16, 16)
    emptied = decode_file(image.file, geometry)
    [outcome] = _decoded_again(iter([(image, emptied)]), geometry, Reporter())
    assert emptied.problem
    assert outcome is not None
    assert (outcome[1].problem, outcome[1].sha256) == ("", decode_file(image.file, geometry).sha256)
    assert Path(image.file).read_bytes() == local[image.path.removeprefix(f"{ADDRESS}/")]


def test_a_listing_of_named_images_ends_after_a_few_pages_and_makes_no_other_copies(
    tmp_path: Path, grow: Grow, load: Load, server: ObjectServer, cache_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 24 names one page is listed, and those that it does not show are asked for."""
    monkeypatch.setattr(fsspec_store, "_KEYS_PER_PAGE", 30)
    folder = grow(tmp_path / "images", {"a": 12, "b": 12})
    client = server.client()
    files = sorted(folder.rglob("*.png"))
    for number, path in enumerate(files):
        name = f"{number:02}.png" if number < 15 else f"z{number}.png"
        client.put_object(Bucket=BUCKET, Key=f"flat/{name}", Body=path.read_bytes())
    for number in range(20):
        client.put_object(Bucket=BUCKET, Key=f"flat/other{number:02}.png", Body=b"x")
        client.put_object(Bucket=BUCKET, Key=f"flat/below/{number:02}.png", Body=b"x")
    rows = [f"{f'{number:02}' if number < 15 else f'z{number}'}.png,{p.parent.name}" for number, p in enumerate(files)]
    client.put_object(Bucket=BUCKET, Key="flat/list.csv", Body="\n".join(["path,label", *rows]).encode())
    server.requests.clear()
    dataset = load(tmp_path, train=f"s3://{BUCKET}/flat/list.csv")
    assert [record.problem for record in dataset.records] == [""] * 24
    listings = [path for method, path in server.requests if method == "GET" and path.strip("/") == BUCKET]
    heads = {path for method, path in server.requests if method == "HEAD" and path.endswith(".png")}
    assert (len(listings), len(heads)) == (1, 9)
    assert len([*(cache_folder / "remote").rglob("*.png")]) == 24


def test_a_stop_is_served_while_versions_are_asked_for_and_files_are_fetched(
    tmp_path: Path, grow: Grow, server: ObjectServer, cache_folder: Path
) -> None:
    server.upload(grow(tmp_path / "images", {"a": 3}), "images/")
    keys = [entry["Key"] for entry in server.client().list_objects_v2(Bucket=BUCKET)["Contents"]]
    copies = [versions.copy_of(f"s3://{BUCKET}/{key}", cache_folder) for key in keys]

    def stop() -> None:
        raise Interrupted(15)

    with pytest.raises(Interrupted):
        versions.check_versions(copies, cache_folder, stop)
    assert versions.check_versions(copies, cache_folder) == {}
    with pytest.raises(Interrupted):
        versions.fetch_now(copies, cache_folder, stop)
    assert versions.fetch_now(copies, cache_folder) == {}
    versions.refreshed()
    with pytest.raises(Interrupted):
        list(remote_images(f"s3://{BUCKET}/{keys[0]}", Listener(stop_at="waiting for 1 remote file")))
