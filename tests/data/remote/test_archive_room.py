"""Room for archives, which are kept whole while a command reads them: it is made, or missed, before the first byte."""

from __future__ import annotations

import shutil
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.data.remote.test_shards import shards
from tests.object_server import BUCKET, ObjectServer
from transfercli.config.paths import resolve_paths
from transfercli.config.schema import ExperimentConfig
from transfercli.data.dataset import Dataset
from transfercli.data.load import DataRequest, load_dataset
from transfercli.errors import DiskError
from transfercli.reporting import Reporter

Load = Callable[..., Dataset]
Grow = Callable[..., Path]
Disk = namedtuple("Disk", "total used free")
ARCHIVES = f"s3://{BUCKET}/shards/train-{{000000..000002}}.tar"


@pytest.fixture
def size(tmp_path: Path, grow: Grow, server: ObjectServer) -> int:
    """Return the size of an archive, of the three that are uploaded with a folder of images."""
    images = grow(tmp_path / "images", {"a": 12, "b": 12})
    archives = shards(images, tmp_path / "shards")
    server.upload(tmp_path / "shards", "shards/")
    server.upload(images, "images/")
    server.gets()
    return max(archive.stat().st_size for archive in archives)


def read(folder: Path, train: str, cache_max_gb: float) -> Dataset:
    config = ExperimentConfig.model_validate(
        {
            "name": "x",
            "model": {"base": "small_cnn"},
            "data": {"train": train, "image_size": 16},
            "compute": {"cache_max_gb": cache_max_gb},
        }
    )
    config = resolve_paths(config, folder)
    return load_dataset(DataRequest(config.data, (16, 16), config.compute), Reporter())


def test_archives_beyond_the_limit_are_refused_before_they_are_fetched(
    size: int, tmp_path: Path, server: ObjectServer, cache_folder: Path
) -> None:
    with pytest.raises(DiskError, match=r"compute.cache_max_gb is") as error:
        read(tmp_path, ARCHIVES, 2 * size / 1e9)
    assert "set compute.cache_max_gb to at least" in str(error.value.hint)
    assert server.gets() == []
    assert not any(path.stat().st_size for path in (cache_folder / "remote/s3").rglob("*.tar"))


def test_older_copies_give_way_to_archives(
    size: int, load: Load, tmp_path: Path, server: ObjectServer, cache_folder: Path
) -> None:
    load(tmp_path, train=f"s3://{BUCKET}/images")
    copies = [*(cache_folder / "remote").rglob("*.png")]
    before = sum(path.stat().st_size for path in copies)
    assert before > 5_000
    read(tmp_path, ARCHIVES, (3 * size + 5_000) / 1e9)
    assert sum(path.stat().st_size for path in copies) <= 5_000
    assert len([*(cache_folder / "remote").rglob("*.tar")]) == 3


def test_a_full_disk_is_named_before_archives_are_fetched(
    size: int, load: Load, tmp_path: Path, server: ObjectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Disk(10**9, 10**9 - size, size))
    with pytest.raises(DiskError, match="nothing of them was fetched"):
        load(tmp_path, train=ARCHIVES)
    assert server.gets() == []
