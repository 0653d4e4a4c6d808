"""What is reported and what leaves, from a real run."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from transfercli.errors import ArtefactError, DataError, UsageError
from transfercli.reporting import Reporter
from transfercli.workflows.evaluate.evaluate import EvaluateRequest, evaluate_run
from transfercli.workflows.export.export import ExportRunRequest, export_run


@pytest.fixture
def run(source):
    world, result = source
    return world, Path(result["run"]), result


def test_evaluating_the_validation_split_gives_the_accuracy_of_training(run) -> None:
    world, _folder, trained = run
    result = evaluate_run(EvaluateRequest("digits-source", world.runs, "validation"), Reporter()).as_json()
    assert result["metrics"]["accuracy"] == trained["metrics"]["val_accuracy"]
    assert result["calibration"]["log_loss_before"] == pytest.approx(trained["metrics"]["val_loss"], rel=1e-5)
    assert result["metrics"]["log_loss"] == pytest.approx(result["calibration"]["log_loss_after"], rel=1e-4)
    assert result["metrics"]["log_loss"] <= trained["metrics"]["val_loss"] + 1e-6


def test_the_test_split_gets_its_files_and_gates(run) -> None:
    world, folder, _ = run
    request = EvaluateRequest("digits-source", world.runs, minimums=("accuracy=0.999", "recall[3]=0.1"))
    result = evaluate_run(request, Reporter()).as_json()
    assert result["split"] == "test"
    assert result["examples"] == 178
    assert [gate["passed"] for gate in result["gates"]] == [result["metrics"]["accuracy"] >= 0.999, True]
    assert sum(map(sum, result["confusion_matrix"])) == 178
    place = folder / "evaluation" / "test"
    assert {path.name for path in place.iterdir()} == {
        *("metrics.json", "predictions.csv", "confusion_matrix.png", "report.html"),
    }
    rows = list(csv.DictReader((place / "predictions.csv").read_text().splitlines()))
    assert len(rows) == 178
    assert list(rows[0])[:4] == ["path", "label", "predicted", "probability"]
    assert np.mean([row["label"] == row["predicted"] for row in rows]) == result["metrics"]["accuracy"]


def test_other_images_are_matched_by_class_name_and_unknown_classes_stop(run, digits_folder: Path, tmp_path) -> None:
    world, _, _ = run
    shutil.copytree(digits_folder / "digits" / "test" / "3", tmp_path / "new" / "3")
    request = EvaluateRequest("digits-source", world.runs, data=tmp_path / "new")
    result = evaluate_run(request, Reporter()).as_json()
    assert [row["support"] for row in result["per_class"]] == [0, 0, 0, result["examples"], 0]
    with pytest.raises(DataError, match="5"):
        evaluate_run(EvaluateRequest("digits-source", world.runs, data=digits_folder / "digits-target"), Reporter())


def test_other_images_that_the_run_learnt_from_are_counted(run, digits_folder: Path, tmp_path: Path) -> None:
    class Warned(Reporter):
        def warning(self, text: str) -> None:
            said.append(text)

    world, folder, _ = run
    recorded = list(csv.DictReader((folder / "dataset.csv").read_text().splitlines()))
    for side, count in (("train", 5), ("validation", 3), ("test", 4)):
        for number, row in enumerate([row for row in recorded if row["split"] == side][:count]):
            place = tmp_path / "mixed" / row["label"]
            place.mkdir(parents=True, exist_ok=True)
            shutil.copy(digits_folder / "digits-source" / row["path"], place / f"{side}-{number}.png")
    said: list[str] = []
    request = EvaluateRequest("digits-source", world.runs, data=tmp_path / "mixed")
    result = evaluate_run(request, Warned()).as_json()
    assert result["known"] == {"train": 5, "validation": 3}
    page = " ".join((folder / "evaluation" / "test-mixed" / "report.html").read_text().split())
    assert "<b>test</b> split, which are those of <b>mixed</b>, 5 classes" in page
    assert "The run trained on 5 of these images</b>: the metrics are too optimistic." in page
    assert said == [
        "the run trained on 5 of these 12 images: the metrics are too optimistic",
        "the run chose its best epoch on 3 of these 12 images: the metrics are too optimistic",
    ]
    said.clear()
    result = evaluate_run(EvaluateRequest("digits-source", world.runs), Warned()).as_json()
    assert (said, result["known"]) == ([], {})


@pytest.mark.parametrize("name", ["gone", "x" * 300])
def test_other_images_that_are_not_there_are_looked_for_where_the_command_is_typed(run, name: str) -> None:
    world, _, _ = run
    with pytest.raises(DataError, match=f"--data: '{name}' does not exist") as caught:
        evaluate_run(EvaluateRequest("digits-source", world.runs, data=Path(name)), Reporter())
    assert "the current folder" in str(caught.value.hint)


def test_a_damaged_checkpoint_is_not_evaluated(run, tmp_path: Path) -> None:
    world, folder, _ = run
    broken = tmp_path / "runs" / "digits-source" / folder.name
    shutil.copytree(folder, broken, symlinks=True)
    with (broken / "checkpoints" / "best" / "model.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"x")
    data = world.samples / "digits-source"
    with pytest.raises(ArtefactError, match="hash its manifest gives"):
        evaluate_run(EvaluateRequest(str(broken), tmp_path / "runs", data=data), Reporter())


def test_both_formats_are_proved_equal_on_the_validation_images(run) -> None:
    world, folder, _ = run
    result = export_run(ExportRunRequest("digits-source", world.runs, ("saved_model", "keras")), Reporter())
    for artefact in result.artefacts:
        assert artefact["max_abs_diff"] < 1e-5
        assert artefact["label_agreement"] == 1
        place = folder / "exports" / artefact["format"]
        assert (place / "labels.txt").read_text().split() == list("01234")
        assert json.loads((place / "export.json").read_text())["run"] == f"digits-source/{folder.name}"


def test_an_unknown_format_is_a_usage_error_before_any_work(run) -> None:
    world, _, _ = run
    with pytest.raises(UsageError, match="saved_model"):
        export_run(ExportRunRequest("digits-source", world.runs, ("saved_modle",)), Reporter())
