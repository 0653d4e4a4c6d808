"""What a training is given, from its config."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pytest

from transfercli.config.schema import ExperimentConfig
from transfercli.data.dataset import Auxiliary, Split
from transfercli.reporting import Reporter
from transfercli.rows import ArrayRows

LABELS = ("cat", "dog")
CAT_3_DOG_1 = np.array([0, 0, 0, 1], "int32")


@pytest.mark.parametrize(
    "training, ratio",
    [
        ({}, None),
        ({"class_weights": "balanced"}, 3.0),
        ({"sampling": "balanced"}, 3.0),
        ({"sampling": "balanced", "class_weights": {"cat": 1.0, "dog": 2.0}}, 6.0),
    ],
)
def test_a_probe_weighs_classes_as_training_weighs_and_draws_them(
    training: dict[str, Any], ratio: float | None
) -> None:
    from transfercli.workflows.train.setup import training_inputs

    config = ExperimentConfig(
        name="n", data={"train": "d"}, model={"base": "small_cnn", "weights": "none"}, training=training
    )
    split = Split("", tuple("abcd"), CAT_3_DOG_1, LABELS, ArrayRows(np.zeros((4, 8, 8, 3), "uint8")), tuple("abcd"))
    dataset: Any = SimpleNamespace(splits={"train": split, "validation": split}, auxiliary=Auxiliary())
    weights = training_inputs(config, dataset, LABELS, Reporter()).class_weights
    assert weights is None if ratio is None else weights[1] / weights[0] == pytest.approx(ratio)


def test_features_follow_from_the_decoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transfercli.data import image
    from transfercli.workflows.train.setup import feature_cache

    config = ExperimentConfig(name="n", data={"train": "d", "image_size": 32}, model={"base": "small_cnn"})
    before = feature_cache(config, Reporter()).pixels
    monkeypatch.setattr(image, "VERSION", image.VERSION + 1)
    assert feature_cache(config, Reporter()).pixels != before


class Planned(Exception):
    """The plan was asked for."""


def test_seconds_that_a_strategy_measures_for_are_counted_as_its_features(monkeypatch: pytest.MonkeyPatch) -> None:
    from transfercli.workflows.train import setup

    running: list[str] = []
    found: list[list[str]] = []

    @contextmanager
    def watch(stage: str) -> Iterator[None]:
        running.append(stage)
        yield
        running.remove(stage)

    def plan_for(*_: Any) -> None:
        found.append(list(running))
        raise Planned

    monkeypatch.setattr(setup, "plan_for", plan_for)
    monkeypatch.setattr(setup, "feature_cache", lambda *_: None)
    monkeypatch.setattr(setup, "training_inputs", lambda *_: None)
    monkeypatch.setattr(setup, "without_changed_copies", lambda *_: None)
    anything = MagicMock()
    anything.run.record.exists.return_value = False
    with pytest.raises(Planned):
        setup.set_up(anything, anything, anything, watch, Reporter())  # type: ignore[arg-type]
    assert found == [["features"]]
