"""Every config in configs/ loads, shows and comes back; each says how it is launched and what to expect."""

from __future__ import annotations

from pathlib import Path

import pytest

from transfercli.config.dump import dump
from transfercli.config.loader import load, resolve
from transfercli.config.schema import RunWeights

ROOT = Path(__file__).parents[2]
CONFIGS = sorted((ROOT / "configs").rglob("*.yaml"))


def short(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", CONFIGS, ids=short)
def test_a_shipped_config_is_valid_and_comes_back_from_its_dump(path: Path, tmp_path: Path) -> None:
    launched = "pretrain" if "transfercli pretrain" in path.read_text(encoding="utf-8") else "finetune"
    config = resolve(load(path).config, launched)
    copy = tmp_path / "config.yaml"
    copy.write_text(dump(config), encoding="utf-8")
    assert load(copy).config == config


@pytest.mark.parametrize("path", CONFIGS, ids=short)
def test_a_shipped_config_opens_with_its_launch_line_and_what_to_expect(path: Path) -> None:
    comments = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        comments.append(line)
    opening = "\n".join(comments)
    for word in ("# Launch:", "# Does:", "# Expect:", short(path)):
        assert word in opening


@pytest.mark.parametrize("path", CONFIGS, ids=short)
def test_a_shipped_configs_data_is_beside_the_configs_or_comes_with_keras(path: Path) -> None:
    train = load(path).config.data.train
    assert train.startswith(("../../data/", "keras:"))


def test_a_shipped_config_that_starts_from_a_run_starts_from_one_that_is_shipped() -> None:
    configs = [load(path).config for path in CONFIGS]
    names = [config.name for config in configs]
    assert len(set(names)) == len(names)
    for config in configs:
        if isinstance(config.model.weights, RunWeights):
            assert config.model.weights.run in names


def test_the_classic_set_ups_are_what_they_are_called() -> None:
    cats = load(ROOT / "configs/cats-vs-dogs/vgg16.yaml").config
    assert (cats.model.base, cats.data.image_size, cats.model.head.output) == ("vgg16", 150, "sigmoid")
    assert (cats.model.head.pooling, cats.model.head.hidden) == ("flatten", [256])
    assert (cats.training.optimizer.name, cats.training.optimizer.learning_rate) == ("rmsprop", 2e-5)
    flowers = load(ROOT / "configs/flowers/resnet50.yaml").config
    assert (flowers.model.base, flowers.data.image_size, flowers.model.head.pooling) == ("resnet50", 224, "avg")
    folder = load(ROOT / "configs/imagefolder/resnet50-sgd.yaml").config.training.optimizer
    assert (folder.name, folder.learning_rate, folder.momentum) == ("sgd", 0.001, 0.9)
    grey = [load(ROOT / f"configs/grey28/{side}.yaml").config.data for side in ("source", "target")]
    assert [(data.image_size, data.channels) for data in grey] == [(28, 1), (28, 1)]
