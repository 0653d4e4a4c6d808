"""Tables and archives behind HTTP: rows that are addresses, redirects, refusals, and hostile tables."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.data.pixels import all_pixels
from tests.data.remote.test_shards import contents, shards
from tests.listener import Listener
from tests.web_server import WebServer
from transfercli.data.dataset import Dataset
from transfercli.data.remote import retries, store
from transfercli.errors import DataError

Load = Callable[..., Dataset]
Grow = Callable[..., Path]


@pytest.fixture
def images(tmp_path: Path, grow: Grow, web: WebServer) -> Path:
    """A folder with its table, both behind the server, too."""
    folder = grow(tmp_path / "images", {"a": 8, "b": 8})
    files = sorted(folder.rglob("*.png"))
    rows = [f"{file.relative_to(folder).as_posix()},{file.parent.name}" for file in files]
    (folder / "list.csv").write_text("\n".join(["path,label", *rows]) + "\n")
    for file in (*files, folder / "list.csv"):
        web.files[f"/pictures/{file.relative_to(folder).as_posix()}"] = file.read_bytes()
    return folder


def test_a_remote_table_is_the_same_data_set_as_on_disk(images: Path, load: Load, web: WebServer) -> None:
    local = load(images.parent, train="images/list.csv")
    remote = load(images.parent, train=f"{web.address}/pictures/list.csv")
    assert remote.records == local.records
    assert all_pixels(remote) == all_pixels(local)
    assert len(web.gets()) == 17


def test_rows_of_a_local_table_may_be_addresses_and_changed_ones_are_read_again(
    images: Path, load: Load, web: WebServer, tmp_path: Path, png: Callable[[int], bytes]
) -> None:
    rows = [f"{web.address}{path},{path.split('/')[2]}" for path in web.files if path.endswith(".png")]
    (tmp_path / "list.csv").write_text("\n".join(["path,label", *rows]) + "\n")
    dataset = load(tmp_path, train="list.csv")
    assert contents(dataset) == contents(load(images.parent))
    assert dataset.records[0].path == f"{web.address}/pictures/a/{Path(dataset.records[0].path).name}"
    web.gets()
    changed = f"/pictures/{sorted(images.rglob('*.png'))[5].relative_to(images).as_posix()}"
    web.files[changed] = png(999)
    load(tmp_path, train="list.csv")
    assert web.gets() == [changed]


@pytest.mark.parametrize("heads", [True, False])
def test_a_signature_in_a_row_is_used_and_not_recorded(
    images: Path, load: Load, web: WebServer, tmp_path: Path, heads: bool
) -> None:
    web.heads = heads
    paths = [path for path in web.files if path.endswith(".png")]
    rows = [f"{web.address}{path}?X-Amz-Signature=5ec4e7,{path.split('/')[2]}" for path in paths]
    (tmp_path / "list.csv").write_text("\n".join(["path,label", *rows]) + "\n")
    dataset = load(tmp_path, train="list.csv")
    assert all("5ec4e7" in path for _, path in web.requests)
    assert [record.path for record in dataset.records] == sorted(f"{web.address}{path}" for path in paths)


@pytest.mark.parametrize(
    "row",
    ["/etc/passwd", "../other/1.png", "file:///etc/passwd", "a/../../1.png", "C:/1.png", "s3://", "ftp://host/1.png"],
)
def test_a_remote_table_cannot_name_files_of_this_machine(load: Load, web: WebServer, tmp_path: Path, row: str) -> None:
    web.files["/pictures/list.csv"] = f"path,label\n{row},a\n".encode()
    with pytest.raises(DataError, match=r"list\.csv:2"):
        load(tmp_path, train=f"{web.address}/pictures/list.csv")
    assert web.gets() == ["/pictures/list.csv"]


def test_lost_refused_and_unread_images_have_their_reasons(
    images: Path, load: Load, web: WebServer, tmp_path: Path
) -> None:
    first, second, third = [path for path in sorted(web.files) if path.endswith(".png")][:3]
    del web.files[first]
    web.refused[second] = 403
    web.redirects[third] = "file:///etc/passwd"
    dataset = load(tmp_path, train=f"{web.address}/pictures/list.csv", max_bad_fraction=0.5)
    problems = [record.problem for record in dataset.records if record.problem]
    assert [("404" in text, "403" in text, "not https" in text) for text in problems] == [
        (True, False, False),
        (False, True, False),
        (False, False, True),
    ]


def test_a_folder_behind_http_is_refused(load: Load, web: WebServer, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be listed") as error:
        load(tmp_path, train=f"{web.address}/pictures")
    assert ".csv" in str(error.value.hint)


@pytest.mark.parametrize("ranges", [True, False])
def test_a_large_archive_that_was_cut_off_goes_on(
    images: Path, load: Load, web: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ranges: bool
) -> None:
    for module in ("fetch", "http_store"):
        monkeypatch.setattr(f"transfercli.data.remote.{module}.PART_BYTES", 4096)
    [archive] = shards(images, tmp_path / "shards", size=99)
    web.files["/all.tar"], web.ranges, web.most_bytes = archive.read_bytes(), ranges, 10_000
    dataset = load(tmp_path, train=f"{web.address}/all.tar")
    assert contents(dataset) == contents(load(images.parent))
    assert len(web.gets()) == 2


def test_a_dead_server_is_named_with_its_reason(load: Load, web: WebServer, tmp_path: Path, reporter: Listener) -> None:
    web.refused["/list.csv"] = 503
    with pytest.raises(DataError, match="status 503"):
        load(tmp_path, train=f"{web.address}/list.csv")
    assert store.READ_SECONDS < 20  # that a stop may take


def test_a_server_that_refuses_connections_is_not_said_to_be_slow(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retries, "PAUSES", ())
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(DataError, match="refused") as caught:
            load(tmp_path, train=f"http://127.0.0.1:{unused.getsockname()[1]}/list.csv")
    assert "no answer within" not in f"{caught.value}"
