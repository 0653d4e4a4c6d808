"""Runs whose head reads several layers of the base: recorded, resumed, kept, extended, cached and exported."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.workflows.conftest import World
from transfercli.errors import ConfigError, UsageError
from transfercli.reporting import Reporter
from transfercli.runs.folder import RunFolder
from transfercli.workflows.stored_run import StoredRun

TAPS = ["conv1", "conv2"]


@pytest.fixture(scope="module")
def several(source: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[World, dict[str, Any]]:
    """A multilayer probe on the pretrained digits, scored by the validation images, with its own feature cache."""
    world = World(tmp_path_factory.mktemp("several"), source[0].samples)
    return world, world.train(
        "finetune", config(world, source, "several", "multilayer_probe", training={"refit": False})
    )


def config(world: World, source: Any, name: str, strategy: str, **sections: Any) -> Path:
    model = {"weights": {"run": source[1]["run"]}} | sections.pop("model", {})
    compute = {"cache_dir": str(world.folder / "cache")}
    return world.config(
        name, "digits-target", model=model, transfer={"strategy": strategy}, compute=compute, **sections
    )


def head_of(result: dict[str, Any]) -> dict[str, Any]:
    return yaml.safe_load(RunFolder(Path(result["run"])).config.read_text())["model"]["head"]


def test_a_run_records_the_stages_that_its_head_reads(several: Any) -> None:
    head = head_of(several[1])
    assert head["taps"] == TAPS
    assert head["normalisation"] != "none"


@pytest.mark.slow
def test_features_of_several_layers_are_those_of_one(several: Any, source: Any) -> None:
    world, first = several
    images = first["cache"]["features"]["misses"]
    assert images > 0
    after = world.train("finetune", config(world, source, "one", "linear_probe"))
    assert after["cache"]["features"] == {"hits": images, "misses": 0}
    shutil.rmtree(world.folder / "cache")
    counts = [
        world.train("finetune", config(world, source, f"{strategy}-{number}", strategy))["cache"]["features"]
        for number, strategy in enumerate(("linear_probe", "multilayer_probe", "multilayer_probe"))
    ]
    # the taps of images whose last features are known need a pass of their own
    assert counts[1:] == [{"hits": 0, "misses": images}, {"hits": images, "misses": 0}]


def test_a_head_that_is_kept_goes_on_reading_what_it_read(several: Any, source: Any) -> None:
    world, first = several
    model = {"weights": {"run": first["run"]}, "head": {"init": "keep"}}
    result = world.train("finetune", config(world, source, "kept", "full", model=model, training={"epochs": 1}))
    assert {**head_of(result), "init": "new"} == head_of(first)
    assert result["metrics"]["val_accuracy"] >= 0.7  # a fresh head of five classes has 0.2 after one epoch
    model["head"]["taps"] = ["conv2"]
    with pytest.raises(
        ConfigError, match=r"model.head.taps: \['conv2'\], but the head of several/\S+ is kept, which has"
    ):
        world.train("finetune", config(world, source, "other", "full", model=model))


def test_a_run_is_started_again_with_its_own_layers_alone(several: Any) -> None:
    world, first = several
    again = {"run_id": Path(first["run"]).name}
    assert world.train("finetune", world.folder / "several.yaml", **again)["metrics"] == first["metrics"]
    with pytest.raises(ConfigError, match="was started with another config"):
        world.train("finetune", world.folder / "several.yaml", overrides=("model.head.taps=[]",), **again)


def test_a_run_from_before_the_key_reads_the_last_layer(several: Any, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "runs" / "several" / "old")
    shutil.copytree(several[1]["run"], run.path)
    values = yaml.safe_load(run.config.read_text())
    del values["model"]["head"]["taps"], values["model"]["head"]["normalisation"]
    values["transfer"]["strategy"] = "full"  # which a new run would start with several layers
    run.config.write_text(yaml.safe_dump(values))
    assert StoredRun(run).config.model.head.taps == []
    assert StoredRun(run).config.model.head.normalisation == "none"


def test_fine_tuning_starts_from_the_probe_of_several_layers(several: Any, source: Any) -> None:
    world, first = several
    result = world.train("finetune", config(world, source, "full", "full", training={"epochs": 1}))
    assert head_of(result)["taps"] == TAPS
    assert result["metrics"]["val_loss"] <= first["metrics"]["val_loss"] + 1e-6  # the probe's epoch is one of them


def test_a_network_of_another_library_has_no_such_head(several: Any) -> None:
    from transfercli.export.formats.torch_safetensors import check_network
    from transfercli.export.spec import Network

    with pytest.raises(UsageError, match="reads several layers"):
        check_network(Network("resnet18", "torch", 3, "avg", (), {}, plain=False))
    run = StoredRun(RunFolder(Path(several[1]["run"])), Reporter())
    from transfercli.workflows.export.export import _network

    assert not _network(run.config, {}).plain
