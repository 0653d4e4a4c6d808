"""`evaluate --corrupt` and `--tta` as users call them, on one small run and 60 images of it."""

from __future__ import annotations

import html
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.listener import Listener
from transfercli.cli.app import app
from transfercli.evaluation.predictions import Predictions
from transfercli.evaluation.robustness.corruptions import CORRUPTIONS, SEVERITIES
from transfercli.evaluation.robustness.tta import views
from transfercli.runs.folder import RunFolder
from transfercli.workflows.evaluate.robustness import corruption_robustness, tta_comparison
from transfercli.workflows.stored_run import StoredRun


@pytest.fixture(scope="module")
def place(source, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the run in it, and `photos`: 12 images a class that it was not trained on."""
    folder = tmp_path_factory.mktemp("robust")
    run = Path(source[1]["run"])
    shutil.copytree(run, folder / "runs" / "digits-source" / run.name, symlinks=True)
    for label in "01234":
        (folder / "photos" / label).mkdir(parents=True)
        for file in sorted((source[0].samples / "digits-source" / "test" / label).glob("*.png"))[:12]:
            shutil.copy(file, folder / "photos" / label)
    return folder


@pytest.fixture(scope="module")
def evaluated(place: Path) -> dict[str, dict[str, Any]]:
    """What `evaluate --json` prints without the options and with them, and for a person with them, as "text"."""

    def evaluate(*words: str) -> str:
        run = next(path for path in (place / "runs" / "digits-source").iterdir() if path.is_dir())
        done = CliRunner().invoke(app, ["evaluate", str(run), "--data", str(place / "photos"), "--quiet", *words])
        assert done.exit_code == 0, done.output
        return done.output

    plain = json.loads(evaluate("--json"))
    files = {path.name: path.read_bytes() for path in Path(plain["run"]).glob("evaluation/test-photos/*")}
    text = evaluate("--corrupt", "--tta")
    return {"plain": plain, "files": files, "tried": json.loads(evaluate("--json", "--corrupt", "--tta")), "text": text}


def folder_of(result: dict[str, Any]) -> Path:
    return Path(result["run"]) / "evaluation" / "test-photos"


def test_they_stand_beside_an_evaluation_that_they_leave_as_it_is(evaluated: dict[str, Any]) -> None:
    plain, tried = evaluated["plain"], evaluated["tried"]
    assert (plain["robustness"], plain["tta"]) == (None, None)
    assert {**tried, "robustness": None, "tta": None} == plain
    written = json.loads((folder_of(tried) / "metrics.json").read_text())
    assert written["robustness"] == tried["robustness"]
    assert written["tta"] == tried["tta"]
    assert (folder_of(tried) / "predictions.csv").read_bytes() == evaluated["files"]["predictions.csv"]


def test_each_corruption_is_tried_at_each_severity(evaluated: dict[str, Any]) -> None:
    found = evaluated["tried"]["robustness"]
    pairs = [(row["corruption"], row["severity"]) for row in found["corruptions"]]
    assert pairs == [(name, severity) for name in CORRUPTIONS for severity in SEVERITIES]
    assert set(found["corruptions"][0]) == {"corruption", "severity", "parameter", "accuracy", "interval", "changed"}
    assert found["clean_error"] == pytest.approx(1 - evaluated["plain"]["metrics"]["accuracy"])
    assert found["mean_corruption_error"] == pytest.approx(
        np.mean([1 - one["accuracy"] for one in found["corruptions"]])
    )
    assert found["mean_corruption_error"] > found["clean_error"]
    blur = [row["parameter"] for row in found["corruptions"] if row["corruption"] == "blur"]
    assert blur == pytest.approx([value / 7 for value in (1, 2, 3, 4, 6)])  # images of 32 pixels


def test_digits_are_cropped_but_not_mirrored(evaluated: dict[str, Any]) -> None:
    found = evaluated["tried"]["tta"]
    assert (found["views"], found["mirrored"]) == (6, False)
    difference = found["metrics"]["log_loss"] - evaluated["plain"]["metrics"]["log_loss"]
    assert found["gain"]["log_loss"]["value"] == pytest.approx(-difference)


def test_the_report_has_them_and_says_how_to_ask_again(evaluated: dict[str, Any]) -> None:
    page = html.unescape((folder_of(evaluated["tried"]) / "report.html").read_text())
    before = html.unescape(evaluated["files"]["report.html"].decode())
    for told, wanted in ((page, True), (before, False)):
        assert ('<section id="robustness"' in told) == wanted
        assert ('href="#robustness"' in told) == wanted
        assert (" --corrupt --tta" in told) == wanted


def test_a_person_gets_both_as_tables(evaluated: dict[str, Any]) -> None:
    text, found = evaluated["text"], evaluated["tried"]
    rows = {line.split()[0]: line.split() for line in text.splitlines() if line.strip()}
    for name, error in found["robustness"]["errors"].items():
        accuracies = [row["accuracy"] for row in found["robustness"]["corruptions"] if row["corruption"] == name]
        assert rows[name][1:7] == [f"{value:.4f}" for value in (*accuracies, error)]
    assert f"mean corruption error {found['robustness']['mean_corruption_error']:.4f}: +" in text
    assert "averaged over 6 views of each image (no mirror images, as in training)" in text


def test_the_help_tells_how_many_passes_they_cost() -> None:
    words = " ".join(CliRunner().invoke(app, ["evaluate", "--help"], env={"COLUMNS": "400"}).output.split())
    assert f"{len(CORRUPTIONS) * len(SEVERITIES)} passes" in words
    assert f"{len(views(False)) - 1} or {len(views(True)) - 1} passes" in words


class Few:
    """Images that are never asked for more than a batch at a time."""

    def __init__(self, images, most: int) -> None:
        self.images, self.most = images, most

    def __len__(self) -> int:
        return len(self.images)

    def read(self, indices: np.ndarray) -> np.ndarray:
        assert len(indices) <= self.most
        return self.images.read(indices)


def test_images_are_changed_a_batch_at_a_time_in_passes_told_as_one(place: Path, source) -> None:
    trained = StoredRun(RunFolder(Path(source[1]["run"])))
    split = trained.other_images(place / "photos", "test")
    split = replace(split, images=Few(split.images, trained.config.data.batch_size))
    plain = Predictions(split.paths, trained.labels, split.targets, trained.probabilities(split))
    listener = Listener()
    first = corruption_robustness(StoredRun(trained.folder, listener), split, plain)
    assert [step[:3] for step in listener.steps] == [
        ("corrupt", done + 60 * n, 1800) for n in range(30) for done in (32, 60)
    ]
    assert corruption_robustness(trained, split, plain) == first
    mirroring = trained.config.model_copy(
        update={"augmentation": trained.config.augmentation.model_copy(update={"preset": "light"})}
    )
    listener = Listener()
    mirrored = StoredRun(trained.folder, listener)
    mirrored.loaded = replace(trained.loaded, config=mirroring)
    found = tta_comparison(mirrored, split, plain)
    assert (found["views"], found["mirrored"]) == (12, True)
    assert listener.steps[-1][:3] == ("tta", 660, 660)
