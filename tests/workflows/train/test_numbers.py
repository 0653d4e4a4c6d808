"""Runs of one number per image: the angle of a digit, from a table to an exported artefact."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.digits import Digits
from transfercli.errors import ConfigError, DataError, UsageError
from transfercli.reporting import Reporter
from transfercli.runs.folder import RunFolder
from transfercli.training import history
from transfercli.workflows.compare.compare import CompareRequest, compare_runs
from transfercli.workflows.evaluate.evaluate import evaluate_run
from transfercli.workflows.evaluate.request import EvaluateRequest
from transfercli.workflows.export.export import ExportRunRequest, export_run
from transfercli.workflows.predict.predict import PredictRequest, predict_images
from transfercli.workflows.runs.rows import row_of
from transfercli.workflows.runs.run_fields import ListedRun
from transfercli.workflows.stored_run import StoredRun

IMAGES = 160


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory, digits: Digits) -> Path:
    """Rotated digits in a table with their angle in degrees, which the mean predicts with an error of 30."""
    folder, rng = tmp_path_factory.mktemp("angles"), np.random.default_rng(0)
    with (folder / "angles.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "angle"])
        for row in range(IMAGES):
            angle = round(float(rng.uniform(-60, 60)), 2)
            digits.image(row).rotate(angle).save(folder / f"{row}.png")
            writer.writerow([f"{row}.png", angle])
    return folder / "angles.csv"


def config(source: Any, table: Path, name: str, strategy: str, **sections: Any) -> Path:
    world, parent = source
    data = {"train": str(table), "columns": {"label": "angle"}}
    model = {"weights": {"run": parent["run"]}}
    path: Path = world.config(
        name, "", task="regression", data=data, model=model, transfer={"strategy": strategy}, **sections
    )
    return path


@pytest.fixture(scope="module")
def run(source, table: Path) -> StoredRun:
    """A probe of the angle."""
    world, _ = source
    result = world.train("finetune", config(source, table, "angle", "linear_probe"))
    return StoredRun(RunFolder(Path(result["run"])))


def test_a_run_says_how_far_it_is_off_in_degrees(run: StoredRun) -> None:
    (line,) = history.read(run.folder.metrics)
    assert line["val_mae"] < 20  # the mean is 30 off
    assert line["val_loss"] < 0.5  # of standardised angles: the mean has 1
    assert "accuracy" not in line
    assert "val_accuracy" not in line
    assert run.record.metrics["val_mae"] == line["val_mae"]
    assert run.labels == ("angle",)
    assert run.held_out is not None
    predicted = run.calibrate(run.held_out.logits)[:, 0]
    assert np.abs(predicted - run.held_out.targets).mean() == pytest.approx(line["val_mae"], rel=1e-5)


def test_an_evaluation_writes_its_numbers(run: StoredRun) -> None:
    request = EvaluateRequest(str(run.path), run.path.parent.parent, minimums=("mae<=25", "r2>=0.99"))
    result = evaluate_run(request, Reporter())
    assert [gate["passed"] for gate in result.evaluation.gates] == [True, False]
    stored = json.loads((result.folder / "metrics.json").read_text())
    assert {"mae", "rmse", "r2", "median_error", "pearson", "spearman"} == set(stored["metrics"])
    rows = list(csv.DictReader((result.folder / "predictions.csv").read_text().splitlines()))
    errors = [abs(float(row["predicted"]) - float(row["label"])) for row in rows]
    assert np.mean(errors) == pytest.approx(stored["metrics"]["mae"], rel=1e-5)
    assert "Largest errors" in (result.folder / "report.html").read_text()


def test_predict_and_an_artefact_give_the_number_itself(run: StoredRun, table: Path, tmp_path: Path) -> None:
    runs, images = run.path.parent.parent, (str(table.parent / "0.png"), str(table.parent / "1.png"))
    own = [one.as_json() for one in predict_images(PredictRequest(str(run.path), runs, images), Reporter()).answers]
    assert own[0]["label"] is None and own[0]["top"] == []  # noqa: PT018
    result = export_run(ExportRunRequest(str(run.path), runs, ("onnx",), out=tmp_path), Reporter())
    (artefact,) = result.artefacts
    assert artefact["max_abs_diff"] < 0.03
    assert artefact["mae_exported"] == pytest.approx(artefact["mae_original"], abs=0.03)
    import onnxruntime

    session = onnxruntime.InferenceSession(tmp_path / "onnx" / "model.onnx")
    assert [output.name for output in session.get_outputs()] == ["value"]
    request = PredictRequest(str(tmp_path / "onnx"), runs, images)
    exported = [one.as_json()["value"] for one in predict_images(request, Reporter()).answers]
    assert exported == pytest.approx([one["value"] for one in own], abs=0.03)


def test_fine_tuning_starts_from_the_solved_head_of_several_layers(source, table: Path) -> None:
    world, _ = source
    result = world.train("finetune", config(source, table, "angle-partial", "partial"))
    lines = history.read(RunFolder(Path(result["run"])).metrics)
    assert lines[0]["epoch"] == 0
    assert lines[0]["val_loss"] < 0.5
    assert [line["epoch"] for line in lines] == [0, 1, 2]


def test_what_is_for_classes_alone_is_refused(source, table: Path, run: StoredRun) -> None:
    world, _ = source
    for override, match in (
        ("transfer.strategy=auto", r"transfer\.strategy: 'auto' is not for task: regression"),
        ("training.class_weights=balanced", r"training\.class_weights"),
        ("data.split=stratified", r"data\.split"),
        ("evaluation.metrics=[accuracy]", "is for task: classify"),
    ):
        with pytest.raises(ConfigError, match=match):
            world.train("finetune", config(source, table, "refused", "linear_probe"), overrides=(override,))
    runs = run.path.parent.parent
    with pytest.raises(UsageError, match="runs compare works with classes and labels"):
        compare_runs(CompareRequest((str(run.path), str(run.path)), runs), Reporter())
    with pytest.raises(UsageError, match="--sets"):
        predict_images(PredictRequest(str(run.path), runs, (), sets=0.9), Reporter())
    with pytest.raises(UsageError, match="openvino"):
        export_run(ExportRunRequest(str(run.path), runs, ("openvino",)), Reporter())


def test_folders_and_texts_have_no_numbers(source, table: Path, tmp_path: Path) -> None:
    world, _ = source
    path = config(source, table, "no-numbers", "linear_probe")
    with pytest.raises(DataError, match="task: regression is for tables"):
        world.train("finetune", path, overrides=(f"data.train={table.parent}",))
    for text in ("old", "", "nan", "inf", "1e39", "1_000"):
        (tmp_path / "bad.csv").write_text(f"path,angle\n{table.parent}/0.png,1.5\n{table.parent}/1.png,{text}\n")
        with pytest.raises(DataError, match=r"bad\.csv:3: angle must be a finite number"):
            world.train("finetune", path, overrides=(f"data.train={tmp_path / 'bad.csv'}",))


def test_a_list_of_runs_has_the_errors_of_those_with_numbers(run: StoredRun) -> None:
    listed = ListedRun(run.folder, row_of(run.folder, {}))
    assert listed.metric("val_mae") == run.record.metrics["val_mae"]
    assert listed.metric("val_rmse") >= listed.metric("val_mae")
    assert listed.metric("val_accuracy") is None
