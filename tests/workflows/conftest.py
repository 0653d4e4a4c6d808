"""A world with digits in it: configs are written, and the workflows are run in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

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
