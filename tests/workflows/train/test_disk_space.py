"""Free disk space, checked before a training."""

from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from transfercli.errors import DiskError

Disk = namedtuple("Disk", "total used free")


@pytest.mark.slow
def test_a_disk_without_room_is_told_before_training_with_what_is_needed_and_free(world, monkeypatch) -> None:
    config = world.config("small", "digits-target", training={"epochs": 1})
    needed = world.train("pretrain", config, dry_run=True)["run_bytes"]
    real = shutil.disk_usage
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: Disk(10**9, 10**9 - needed + 1, needed - 1))
    with pytest.raises(DiskError, match=r"it may need \d+ MB, \d+ MB are free; nothing was written") as told:
        world.train("pretrain", config, run_id="night")
    assert "--runs" in str(told.value.hint)
    assert not (world.runs / "small" / "night").exists()
    monkeypatch.setattr(shutil, "disk_usage", real)
    result = world.train("pretrain", config, run_id="night")
    held = sum(path.lstat().st_size for path in Path(result["run"]).rglob("*") if path.is_file())
    assert held <= needed


def test_a_required_cache_without_room_is_told_before_an_image_is_decoded(world, monkeypatch, tmp_path: Path) -> None:
    compute = {"cache_dir": str(tmp_path / "cache"), "cache": "require"}
    config = world.config("small", "digits-target", compute=compute)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: Disk(10**9, 10**9, 1000))
    with pytest.raises(DiskError, match=r"these images need 0\.003 GB and the disk has room for 0\.000 GB"):
        world.train("pretrain", config)
