"""Data in an object store: the same data set as the same files on disk, each object fetched once a version."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.data.pixels import all_pixels
from tests.object_server import BUCKET, ObjectServer
from transfercli.data.dataset import Dataset
from transfercli.errors import DataError

Load = Callable[..., Dataset]
Grow = Callable[..., Path]
ADDRESS = f"s3://{BUCKET}/images"


@pytest.fixture
def images(tmp_path: Path, grow: Grow, server: ObjectServer) -> Path:
    folder = grow(tmp_path / "images", {"a": 12, "b": 12})
    server.upload(folder, "images/")
    return folder


def test_a_folder_in_a_bucket_is_the_same_data_set_as_on_disk(images: Path, load: Load, server: ObjectServer) -> None:
    local = load(images.parent)
    remote = load(images.parent, train=ADDRESS)
    assert remote.records == local.records
    assert all_pixels(remote) == all_pixels(local)
    assert len(server.gets()) == 24


def test_an_unchanged_object_is_not_fetched_again_and_a_changed_one_is(
    images: Path, load: Load, server: ObjectServer, png: Callable[[int], bytes]
) -> None:
    before = load(images.parent, train=ADDRESS)
    server.gets()
    load(images.parent, train=ADDRESS)
    assert server.gets() == []
    changed = sorted(images.rglob("*.png"))[3]
    changed.write_bytes(png(999))
    server.upload(images, "images/")
    after = load(images.parent, train=ADDRESS)
    key = changed.relative_to(images.parent).as_posix()
    assert server.gets() == [key]
    differing = [new.path for old, new in zip(before.records, after.records, strict=True) if old.sha256 != new.sha256]
    assert [f"images/{path}" for path in differing] == [key]
    assert after.records == load(images.parent).records


def test_a_server_that_goes_away_keeps_what_was_fetched(images: Path, load: Load, server: ObjectServer) -> None:
    server.most_gets = 9
    with pytest.raises(DataError, match=r"the server cannot be read.*of 24 fetched and kept") as error:
        load(images.parent, train=ADDRESS)
    assert "start the same command again" in str(error.value.hint)
    server.most_gets = None
    first = {*server.gets()}
    remote = load(images.parent, train=ADDRESS)
    rest = server.gets()
    assert len(rest) == 24 - 9
    assert first | {*rest} == {f"images/{record.path}" for record in remote.records}
    assert remote.records == load(images.parent).records
