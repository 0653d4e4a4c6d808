"""Nights of `retrain.when: expected`: a training starts once the champion's answers are expected to be too bad."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.workflows.retrain.nights import Nights, write_config
from transfercli.errors import ConfigError, DataError
from transfercli.evaluation.monitoring.model_facts import KEY
from transfercli.evaluation.robustness.corruptions import CORRUPTIONS
from transfercli.runs import decisions
from transfercli.workflows.monitor import model_answers


@pytest.fixture
def recent(nights: Nights, source: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of recent images that the champion knows; nights train only if it does badly on them."""
    monkeypatch.setattr(model_answers, "MOST_SHIFTED", 10)
    folder = tmp_path / "recent"
    folder.mkdir()
    files = [file for label in "567" for file in sorted((nights.samples / "digits-target/test" / label).glob("*"))[:15]]
    for number, file in enumerate(files):
        (folder / f"{number}.png").write_bytes(file.read_bytes())
    _configure(nights, source, folder, 0.05)
    return folder


def _configure(nights: Nights, source: Any, folder: Path, bound: float, metric: str = "accuracy") -> None:
    monitor = {"recent": str(folder), "min_expected": {metric: bound}}
    write_config(nights, source[1]["run"], retrain={"when": "expected", "monitor": monitor})


@pytest.mark.slow
def test_new_images_train_only_once_the_expected_accuracy_is_below_its_bound(
    nights: Nights, source: Any, recent: Path
) -> None:
    assert nights.night()["decision"] == "first"
    nights.add("5", 40, 60)
    night = nights.night()
    assert night["decision"] == "unchanged"
    assert "not below 0.05" in night["reason"]
    assert night["expected"]["gates"][0]["passed"]
    assert night["expected"]["images"] == 45
    few = recent.parent / "few"
    few.mkdir()
    for file in sorted(recent.glob("*.png"))[:5]:
        (few / file.name).write_bytes(file.read_bytes())
    _configure(nights, source, few, 1.0)
    night = nights.night()
    assert (night["decision"], "only 5 recent images" in night["reason"]) == ("unchanged", True)
    _configure(nights, source, recent / "missing", 0.98)
    with pytest.raises(DataError, match=r"retrain\.monitor: .*missing' does not exist"):
        nights.night()
    model = recent.parent / "logs" / "night" / f"run-{'0' * KEY}"
    (model / "kept").mkdir(parents=True)
    (model / "kept" / "0.png").write_bytes((recent / "0.png").read_bytes())
    (model / "model.json").write_text("{}")
    _configure(nights, source, recent.parent / "logs", 0.98)
    with pytest.raises(DataError, match=r"retrain\.monitor: .*logs/night kept"):
        nights.night()
    for number, file in enumerate(recent.glob("*.png")):
        pixels = CORRUPTIONS["noise"](np.asarray(Image.open(file).convert("RGB")), 5, 0, number)
        Image.fromarray(pixels).save(file)
    _configure(nights, source, recent, 0.98)
    night = nights.night()
    assert night["decision"] in ("promoted", "kept")
    assert not night["expected"]["gates"][0]["passed"]
    assert decisions.read(nights.experiment)[-1].facts["expected"] == night["expected"]
    assert nights.night()["decision"] == "unchanged"  # nothing is new since the challenger


@pytest.mark.parametrize(
    "retrain, message",
    [
        ({"when": "expected"}, "expected needs retrain.monitor"),
        ({"monitor": {"recent": ".", "min_expected": {"accuracy": 0.9}}}, "only with retrain.when: expected"),
        ({"when": "expected", "monitor": {"recent": ".", "min_expected": {}}}, "min_expected"),
    ],
)
def test_the_keys_of_the_trigger_belong_together(
    nights: Nights, source: Any, retrain: dict[str, Any], message: str
) -> None:
    write_config(nights, source[1]["run"], retrain=retrain)
    with pytest.raises(ConfigError, match=message):
        nights.night()


def test_a_bound_on_a_metric_that_cannot_be_expected_is_an_error_of_the_config(
    nights: Nights, source: Any, tmp_path: Path
) -> None:
    _configure(nights, source, tmp_path, 0.3, "log_loss")
    with pytest.raises(
        ConfigError, match=r"retrain\.monitor\.min_expected: log_loss cannot be expected without labels"
    ):
        nights.night()
