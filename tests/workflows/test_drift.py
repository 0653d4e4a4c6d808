"""`data drift` against a run that really trained."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageFilter, ImageOps

from transfercli.data.dataset import Split
from transfercli.errors import DataError
from transfercli.events import Events
from transfercli.runs.folder import RunFolder
from transfercli.workflows.drift import DriftRequest, base_trained, data_drift, measure_drift
from transfercli.workflows.evaluate import reading_for
from transfercli.workflows.model import read_run_config


class Recorder(Events):
    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)


def measured(source: Any, folder: Path, maximum: float | None = None, events: Events | None = None) -> dict[str, Any]:
    world, _ = source
    return data_drift(DriftRequest("digits-source", folder, world.runs, maximum), events or Events())


@pytest.fixture
def recent(tmp_path: Path, digits_folder: Path) -> Path:
    """Half of the test images of digits 0-4, without labels, at two depths."""
    folder = tmp_path / "recent"
    for number, file in enumerate(sorted((digits_folder / "digits-source" / "test").rglob("*.png"))[::2]):
        place = folder / ("2026" if number % 2 else ".") / f"{number}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, place)
    return folder


def change(folder: Path, how: Any) -> None:
    for file in folder.rglob("*.png"):
        how(Image.open(file).convert("L")).save(file)


def test_images_like_those_of_the_training_have_not_drifted(source: Any, recent: Path) -> None:
    result = measured(source, recent, 0.2)
    assert (result["images"], result["compared"], result["drifted"], result["passed"]) == (89, 89, False, True)
    assert result["reference"]["features"] == {"split": "test", "images": 178}  # the base was trained, too
    assert result["reference"]["predictions"] == {"split": "test", "images": 178}
    json.dumps(result, allow_nan=False)


@pytest.mark.parametrize("how", [ImageOps.invert, lambda image: image.filter(ImageFilter.GaussianBlur(1.5))])
def test_changed_images_have_drifted_and_miss_the_gate(source: Any, recent: Path, how: Any) -> None:
    change(recent, how)
    result = measured(source, recent, 0.3)
    assert (result["drifted"], result["passed"], result["max"]) == (True, False, 0.3)
    assert result["score"] > 0.3


def test_a_split_is_measured_whatever_its_classes(source: Any, digits_folder: Path) -> None:
    from transfercli.data.load import load_folder_split

    run = RunFolder(Path(source[1]["run"]))
    reading = reading_for(read_run_config(run), digits_folder, Events())
    split = load_folder_split(digits_folder / "digits-target", "test", tuple("56789"), reading)
    assert isinstance(split, Split)
    assert measure_drift(run, split, maximum=None, events=Events())["drifted"] is True


def test_few_images_are_told_and_none_is_an_error(source: Any, recent: Path, tmp_path: Path) -> None:
    for file in sorted(recent.rglob("*.png"))[1:]:
        file.unlink()
    events = Recorder()
    assert measured(source, recent, 0.0, events)["passed"] is True
    assert any("only 1 image" in text for text in events.warnings)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no images"):
        measured(source, tmp_path / "empty")
    with pytest.raises(DataError, match="does not exist"):
        measured(source, tmp_path / "gone")


@pytest.mark.parametrize("unfreeze, trained", [("none", False), (0, False), ("conv5", True), (3, True), ("all", True)])
def test_features_of_a_frozen_base_are_compared_with_those_of_training(unfreeze: Any, trained: bool) -> None:
    phases = [{"unfreeze": "none", "kind": "probe"}, {"unfreeze": unfreeze, "kind": "train"}]
    assert base_trained(phases) is trained
