"""A world with digits in it: configs are written, and the workflows are run in this process."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tests.scenes import write_scenes
from transfercli.reporting import Reporter


class World:
    """A folder with `runs`, and configs on the digits samples."""

    def __init__(self, folder: Path, samples: Path) -> None:
        self.folder, self.samples, self.runs = folder, samples, folder / "runs"

    def config(self, name: str, sample: str, **sections: Any) -> Path:
        data = {"train": str(self.samples / sample), "image_size": 32} | sections.pop("data", {})
        model = {"base": "small_cnn", "weights": "none"} | sections.pop("model", {})
        training = {"epochs": 2} | sections.pop("training", {})
        path = self.folder / f"{name}.yaml"
        path.write_text(
            yaml.safe_dump({"name": name, "data": data, "model": model, "training": training, **sections}),
            encoding="utf-8",
        )
        return path

    def train(self, command: str, config: Path | None, reporter: Reporter | None = None, **more: Any) -> dict[str, Any]:
        from transfercli.workflows.train.train import TrainRequest, train

        result = train(TrainRequest(command, config, self.runs, **more), reporter or Reporter())  # type: ignore[arg-type]
        return result.as_json()


@pytest.fixture
def world(tmp_path: Path, digits_folder: Path) -> World:
    return World(tmp_path, digits_folder)


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory, digits_folder: Path) -> tuple[World, dict[str, Any]]:
    """Digits 0-4, pretrained from scratch."""
    world = World(tmp_path_factory.mktemp("source"), digits_folder)
    path = world.config("digits-source", "digits-source", training={"epochs": 4})
    return world, world.train("pretrain", path)


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory, digits_folder: Path) -> tuple[World, Path]:
    """A run of scenes with several labels, the digits 0 to 3, and its world; the images are in `scenes` of its folder.

    Its thresholds differ, so that most scenes get some of the labels, and some get none.
    """
    from transfercli.evaluation.multilabel.trust import read_label_trust, write_label_trust
    from transfercli.workflows.stored_run import StoredRun

    world = World(tmp_path_factory.mktemp("scenes"), digits_folder)
    table = write_scenes(world.folder / "scenes", range(1000, 1160), labels=range(4))
    data = {"train": str(table), "columns": {"label": "labels"}, "label_separator": ";"}
    config = world.config("scenes", "digits", data=data, training={"epochs": 3, "optimizer": {"learning_rate": 0.01}})
    run = Path(world.train("pretrain", config)["run"])
    stored = StoredRun.find(str(run), world.runs, Reporter())
    answers = stored.probabilities(stored.split("validation"))
    thresholds = np.quantile(answers, [0.8, 0.3, 0.6, 0.7], axis=0).diagonal().astype(np.float64)
    trust = read_label_trust(stored.folder.calibration)
    assert trust is not None
    write_label_trust(stored.folder.calibration, replace(trust, thresholds=thresholds + 1e-4))
    return world, run
