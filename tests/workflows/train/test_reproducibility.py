"""What a run says before it trains: whether the disk has room, what its bits depend on, and what has changed since."""

from __future__ import annotations

import json
import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from transfercli.errors import DiskError
from transfercli.reporting import Reporter
from transfercli.runs.environment import differences, machine, processor_features

Disk = namedtuple("Disk", "total used free")


class Heard(Reporter):
    def __init__(self) -> None:
        self.said: list[str] = []

    def info(self, text: str) -> None:
        self.said.append(text)

    warning = info


def test_a_disk_without_room_is_told_before_training_with_what_is_needed_and_free(world, monkeypatch) -> None:
    config = world.config("small", "digits-target", training={"epochs": 1})
    needed = world.train("pretrain", config, dry_run=True)["run_bytes"]
    real = shutil.disk_usage
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: Disk(10**9, 10**9 - needed + 1, needed - 1))
    with pytest.raises(DiskError, match=r"it may need \d+ MB, and \d+ MB are free; nothing was written") as told:
        world.train("pretrain", config, run_id="night")
    assert "--runs" in str(told.value.hint)
    assert not (world.runs / "small" / "night").exists()
    monkeypatch.setattr(shutil, "disk_usage", real)
    result = world.train("pretrain", config, run_id="night")
    held = sum(path.lstat().st_size for path in Path(result["run"]).rglob("*") if path.is_file())
    assert held <= needed


def test_a_cache_without_room_is_told_before_an_image_is_decoded(world, monkeypatch, tmp_path: Path) -> None:
    config = world.config("small", "digits-target", compute={"cache_dir": str(tmp_path / "cache")})
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: Disk(10**9, 10**9, 1000))
    with pytest.raises(DiskError, match=r"the cache needs \d+ MB for images/.*, and 0 MB are free"):
        world.train("pretrain", config)


def test_a_run_records_what_its_bits_depend_on_and_warns_where_it_goes_on_with_something_else(world) -> None:
    config, heard = world.config("rec", "digits-target", training={"epochs": 1}), Heard()
    loose = ("compute.deterministic=false",)
    result = world.train("pretrain", config, heard, run_id="night", overrides=loose)
    path = Path(result["run"]) / "run.json"
    facts = json.loads(path.read_text())
    assert facts["machine"].keys() == {
        *("system", "processor", "cores", "threads", "features", "devices", "settings"),
    }
    assert facts["versions"].keys() >= {"keras", "tensorflow", "numpy", "python", "transfercli"}
    assert facts["rerun"] == {"identical": False, "because": ["compute.deterministic is false"]}
    assert "a rerun may not end with the same bits: compute.deterministic is false" in heard.said
    facts["status"] = "interrupted"
    facts["versions"]["keras"] = "3.0.0"
    facts["machine"]["threads"] += 1
    path.write_text(json.dumps(facts))
    again = Heard()
    world.train("pretrain", config, again, run_id="night", overrides=loose)
    told = next(text for text in again.said if "may differ in the last bits" in text)
    assert f"threads {facts['machine']['threads'] - 1} instead of {facts['machine']['threads']}" in told
    because = json.loads(path.read_text())["rerun"]["because"]
    assert because[0] == "compute.deterministic is false"
    assert any(reason.startswith("keras ") and reason.endswith("instead of 3.0.0") for reason in because)


def test_differences_are_told_in_words_and_what_was_not_recorded_is_not_compared() -> None:
    then = machine(2, []) | {"features": ["avx2", "fma"], "settings": {"XLA_FLAGS": "a"}, "cores": 1, "system": "X"}
    now = machine(2, ["H100"]) | {"features": ["avx2", "avx512f"], "settings": {}, "system": "X"}
    assert differences(then, now) == [
        "XLA_FLAGS None instead of a",
        "devices with H100",
        "features without fma with avx512f",
    ]
    assert differences({}, now) == []
    assert differences(now, now) == []


def test_the_processors_features_are_those_that_choose_kernels() -> None:
    assert "fpu" not in processor_features()
    assert processor_features() == sorted(set(processor_features()))
