"""The keys of a config and their defaults."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from transfercli.config.loader import LoadedConfig
from transfercli.config.schema import ExperimentConfig, FileWeights, RunReference, RunWeights

Loaded = Callable[..., LoadedConfig]


Write = Callable[..., Path]


MINIMAL = "name: flowers\ndata: {train: images}\nmodel: {base: small_cnn}\n"


CONTRACT = """\
name: flowers-resnet50
seed: 0
data:
  train: data/flowers
  validation: 0.15
  test: 0.15
  image_size: 224
  channels: 3
  resize: stretch
  batch_size: 32
  max_bad_fraction: 0.01
augmentation: {preset: light, views: 4}
model:
  base: resnet50
  weights: imagenet
  head: {pooling: avg, hidden: [256], dropout: 0.3, output: softmax}
transfer:
  strategy: partial
  unfreeze: conv5
  phases: null
training:
  epochs: 30
  optimizer: {name: adamw, learning_rate: 1e-3, weight_decay: 1e-4}
  schedule: {name: cosine, warmup_epochs: 1}
  regularization: {l1: 0.0, l2: 0.0, label_smoothing: 0.0}
  class_weights: balanced
  early_stopping: {monitor: val_loss, patience: 5}
compute: {precision: auto, cache: auto, cache_dir: null, cache_max_gb: 50, threads: null, deterministic: true,
          distribution: none}
evaluation: {metrics: [accuracy, macro_f1], gates: {accuracy: 0.9, ece: "<=0.05"}}
export: {formats: [saved_model]}
retrain: {start: champion, when: changed,
          promote: {metric: accuracy, min_gain: 0.0, confidence: 0.95, per_class_floor: null}}
tracking: {tensorboard: true, mlflow: null}
"""


def extended(section: str) -> str:
    return MINIMAL.replace("small_cnn", "resnet50") + section + "\n"


def test_the_contracts_example_is_valid(loaded: Loaded) -> None:
    config = loaded(CONTRACT).config
    assert config.training.optimizer.weight_decay == 1e-4
    assert config.evaluation.gates == {"accuracy": 0.9, "ece": "<=0.05"}


def test_three_keys_are_enough_and_the_defaults_are_the_contracts(loaded: Loaded, write: Write) -> None:
    found = loaded(MINIMAL)
    config = found.config
    assert (config.seed, config.data.validation, config.data.test, config.data.image_size) == (0, 0.15, 0.15, None)
    assert (config.augmentation.preset, config.augmentation.views, config.model.weights) == ("none", 4, "imagenet")
    assert (config.model.head.hidden, config.model.head.dropout, config.transfer.strategy) == ([], 0.0, None)
    training = config.training
    assert (training.epochs, training.optimizer.name, training.optimizer.learning_rate) == (20, "adam", 1e-3)
    assert (training.schedule.name, training.class_weights, training.early_stopping) == ("constant", None, None)
    assert (config.evaluation.gates, config.export.formats) == ({}, ["saved_model"])
    assert found.folder == found.path.parent


@pytest.mark.parametrize(
    "text, expected",
    [
        ("imagenet", "imagenet"),
        ("none", "none"),
        ("{run: digits}", RunWeights(run="digits")),
        ("{run: digits@champion, until: conv2}", RunWeights(run="digits@champion", until="conv2")),
        ("{path: w.h5}", FileWeights(path="w.h5")),
        ("{path: w.h5, sha256: " + "a" * 64 + "}", FileWeights(path="w.h5", sha256="a" * 64)),
    ],
)
def test_weights_come_from_four_places(loaded: Loaded, text: str, expected: object) -> None:
    assert (
        loaded(f"name: x\ndata: {{train: i}}\nmodel: {{base: vgg16, weights: {text}}}").config.model.weights == expected
    )


def test_a_base_may_be_that_of_a_run(loaded: Loaded) -> None:
    assert loaded("name: x\ndata: {train: i}\nmodel: {base: {run: digits}}").config.model.base == RunReference(
        run="digits"
    )


def test_class_weights_take_any_label(loaded: Loaded) -> None:
    weights = loaded(extended("training: {class_weights: {no: 1, 0: 2, 1e-4: 0.5}}")).config.training.class_weights
    assert weights == {"no": 1, "0": 2, "1e-4": 0.5}


def test_a_config_does_not_change_once_it_is_loaded(loaded: Loaded) -> None:
    config: ExperimentConfig = loaded(MINIMAL).config
    with pytest.raises(ValueError, match="frozen"):
        config.seed = 3  # type: ignore[misc]
