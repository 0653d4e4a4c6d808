"""`data features`: a training that follows finds all images and features in the caches."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.workflows.conftest import World
from transfercli.data.corrections.log import Decision, append_decisions
from transfercli.errors import ConfigError
from transfercli.reporting import Reporter
from transfercli.shards import Shard
from transfercli.workflows.data.cache import merge_caches
from transfercli.workflows.data.features import FeaturesRequest, feature_plan, fill_features, resolved

STRATEGIES: dict[str, dict[str, Any]] = {
    "linear_probe": {"transfer": {"strategy": "linear_probe"}},
    "multilayer_probe": {"transfer": {"strategy": "multilayer_probe"}},
    "views": {
        "transfer": {"strategy": "feature_extraction"},
        "model": {"head": {"hidden": [8]}},
        "augmentation": {"preset": "light", "views": 2},
        "compute": {"cache": "require"},
    },
    "partial": {"transfer": {"strategy": "partial", "unfreeze": 2}, "compute": {"cache": "require"}},
}


@pytest.fixture
def target(source: Any, digits_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A world of its own, with a cache of its own."""
    monkeypatch.setenv("TRANSFERCLI_CACHE", str(tmp_path / "cache"))
    return World(tmp_path, digits_folder)


def config_of(target: World, source: Any, name: str) -> Path:
    sections = dict(STRATEGIES[name])
    model = {"weights": {"run": source[1]["run"]}} | sections.pop("model", {})
    training = {"epochs": 2}
    return target.config(name, "digits-target", model=model, training=training, **sections)


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_training_after_it_finds_every_image_and_feature(name: str, target: World, source: Any) -> None:
    config = config_of(target, source, name)
    result = fill_features(FeaturesRequest(config, target.runs), Reporter()).as_json()
    assert result["cache"]["images"]["misses"] == result["images"]
    assert result["cache"]["features"]["misses"] > 0
    again = fill_features(FeaturesRequest(config, target.runs), Reporter()).as_json()
    assert (again["cache"]["images"]["misses"], again["cache"]["features"]["misses"]) == (0, 0)
    assert again["cache"]["features"]["bytes"] == result["cache"]["features"]["bytes"] > 0
    trained = target.train("finetune", config)["cache"]
    assert (trained["images"]["misses"], trained["features"]["misses"]) == (0, 0)
    assert trained["features"]["hits"] >= result["cache"]["features"]["misses"]


@pytest.mark.parametrize("name", ["linear_probe", "views"])
def test_the_shards_fill_one_cache_together(name: str, target: World, source: Any) -> None:
    config, images = config_of(target, source, name), 0
    for number in (1, 2, 3):
        request = FeaturesRequest(config, target.runs, shard=Shard(number, 3))
        result = fill_features(request, Reporter()).as_json()
        assert result["shard"] == f"{number}/3"
        counts = result["cache"]["images"]
        assert counts["hits"] + counts["misses"] == result["images"]
        assert counts["hits"] <= 32  # those by which the precision was checked
        images += result["images"]
    trained = target.train("finetune", config)["cache"]
    assert trained["images"] == {"hits": images, "misses": 0}
    assert trained["features"]["misses"] == 0


def test_without_a_cache_there_is_nothing_to_fill(target: World, source: Any) -> None:
    config = config_of(target, source, "linear_probe")
    with pytest.raises(ConfigError, match=r"compute\.cache"):
        fill_features(FeaturesRequest(config, target.runs, ("compute.cache=off",)), Reporter())


def test_shards_of_several_hosts_are_merged_to_the_same_training(target: World, source: Any, monkeypatch: Any) -> None:
    config = config_of(target, source, "linear_probe")
    monkeypatch.setenv("TRANSFERCLI_CACHE", str(target.folder / "whole"))
    whole = target.train("finetune", config)
    hosts = [target.folder / f"host{number}" for number in (1, 2)]
    for number, cache in enumerate(hosts, 1):
        monkeypatch.setenv("TRANSFERCLI_CACHE", str(cache))
        fill_features(FeaturesRequest(config, target.runs, shard=Shard(number, 2)), Reporter())
    merged = merge_caches(target.folder / "merged", hosts, None, Reporter()).as_json()
    assert merge_caches(target.folder / "merged", hosts, None, Reporter()).as_json()["taken"] == 0
    assert merged["caches"]["images"]["taken"] == whole["cache"]["images"]["misses"]
    monkeypatch.setenv("TRANSFERCLI_CACHE", str(target.folder / "merged"))
    trained = target.train("finetune", config)
    assert trained["cache"]["images"] == {"hits": whole["cache"]["images"]["misses"], "misses": 0}
    assert trained["cache"]["features"] == {"hits": whole["cache"]["features"]["misses"], "misses": 0}
    assert trained["metrics"] == whole["metrics"]


def test_shards_check_the_names_of_classes_as_label_decisions_leave_them(target: World, source: Any) -> None:
    images = target.folder / "unsorted"
    shutil.copytree(next(iter(sorted((target.samples / "digits-target" / "train").iterdir()))), images / "0")
    log = target.folder / "corrections.csv"
    append_decisions(log, [Decision("0/none.png", "a" * 64, "0", "1")])
    data = {"train": str(images), "validation": 0.2, "corrections": str(log), "expect": {"classes": ["0", "1"]}}
    config = target.config("unsorted", "", data=data, model={"weights": {"run": source[1]["run"]}})
    request = FeaturesRequest(config, target.runs, shard=Shard(1, 2))
    assert feature_plan(resolved(request, Reporter()), target.runs, Reporter()).labels == ("0", "1")
