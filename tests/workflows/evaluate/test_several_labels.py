"""`evaluate` of a run whose images may have several labels."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sk

from transfercli.errors import DataError, UsageError
from transfercli.evaluation.multilabel.predictions import LabelPredictions
from transfercli.reporting import Reporter
from transfercli.workflows.evaluate.evaluate import EvaluateRequest, evaluate_run
from transfercli.workflows.runs.leaderboard import ListRequest, list_runs
from transfercli.workflows.runs.runs import show_run
from transfercli.workflows.stored_run import StoredRun


@pytest.fixture(scope="module")
def evaluated(scenes: Any) -> tuple[dict[str, Any], Path]:
    """The JSON of an evaluation on test images with gates, and the folder of its files."""
    world, run = scenes
    request = EvaluateRequest(str(run), world.runs, minimums=("ap[1]>=0.01", "hamming_loss<=0.0001"), spreadsheet=True)
    result = evaluate_run(request, Reporter())
    return json.loads(json.dumps(result.as_json(), allow_nan=False)), run / "evaluation" / "test"


def table_of(folder: Path, labels: list[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return truth and answers, bool [N, L], and probabilities [N, L] as predictions.csv has them."""
    with (folder / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    sets = [[[label in json.loads(row[key]) for label in labels] for row in rows] for key in ("label", "predicted")]
    return *np.array(sets), np.array([[float(row[f"p:{label}"]) for label in labels] for row in rows])


def test_the_metrics_are_what_scikit_learn_computes_from_the_file_of_predictions(evaluated: Any) -> None:
    result, folder = evaluated
    truth, answered, scores = table_of(folder, [row["label"] for row in result["per_class"]])
    assert result["examples"] == len(truth)
    expected = {
        "map": sk.average_precision_score(truth, scores, average="macro"),
        "micro_ap": sk.average_precision_score(truth, scores, average="micro"),
        "macro_auroc": sk.roc_auc_score(truth, scores, average="macro"),
        "micro_f1": sk.f1_score(truth, answered, average="micro"),
        "macro_f1": sk.f1_score(truth, answered, average="macro"),
        "subset_accuracy": sk.accuracy_score(truth, answered),
        "hamming_loss": sk.hamming_loss(truth, answered),
        "coverage": sk.coverage_error(truth, scores),
    }
    assert {name: result["metrics"][name] for name in expected} == pytest.approx(expected)
    assert result["confusion_matrix"] == sk.multilabel_confusion_matrix(truth, answered).tolist()
    assert [row["ap"] for row in result["per_class"]] == pytest.approx(
        sk.average_precision_score(truth, scores, average=None).tolist()
    )
    assert [row["support"] for row in result["per_class"]] == truth.sum(axis=0).tolist()


def test_the_thresholds_of_the_run_decide_and_the_file_is_read_back_with_them(scenes: Any, evaluated: Any) -> None:
    (world, run), (result, folder) = scenes, evaluated
    trust = StoredRun.find(str(run), world.runs, Reporter()).label_trust
    assert [row["threshold"] for row in result["per_class"]] == trust.thresholds.tolist()
    read = LabelPredictions.read_csv(folder / "predictions.csv", trust.thresholds)
    np.testing.assert_array_equal(read.answered, table_of(folder, list(trust.labels))[1])


def test_every_file_is_written_and_gates_are_compared(evaluated: Any) -> None:
    result, folder = evaluated
    files = {"metrics.json", "predictions.csv", "predictions-spreadsheet.csv", "confusion_matrix.png", "report.html"}
    assert {path.name for path in folder.iterdir()} == files
    assert [(gate["metric"], gate["passed"]) for gate in result["gates"]] == [("ap[1]", True), ("hamming_loss", False)]
    assert result["gates"][0]["value"] == result["per_class"][1]["ap"]
    stored = json.loads((folder / "metrics.json").read_text())
    assert stored["metrics"] == result["metrics"]
    assert set(result["intervals"]) > {"map", "macro_f1", "ap[1]", "recall[1]"}


def test_lists_of_runs_show_the_mean_average_precision(scenes: Any, evaluated: Any) -> None:
    (world, run), (result, _) = scenes, evaluated
    (row,) = list_runs(ListRequest(world.runs, "scenes", sort="test_map")).as_json()["runs"]
    assert row["test_map"] == row["metrics"]["test_map"] == result["metrics"]["map"]
    assert row["val_map"] == row["metrics"]["val_map"]
    listed = list_runs(ListRequest(world.runs, "scenes", sort="hamming_loss", filters=("micro_ap>=0",)))
    assert 0 < listed.metrics["val_hamming_loss"][0] < 1
    shown = show_run(str(run), world.runs, Reporter())
    assert shown.evaluations["test"]["map"] == result["metrics"]["map"]
    assert len(shown.curves["val_map"]) == 3


@pytest.mark.parametrize(
    "gate, said",
    [
        ("mcc=0.5", "'mcc' is a metric of task: classify, and this task is multilabel"),
        ("ap[seven]=0.5", "'seven' is not a known label: allowed are '0', '1', '2', '3'"),
        ("mpa=0.5", "'mpa' is not a known metric"),
    ],
)
def test_a_gate_that_the_task_lacks_is_an_error_before_any_work(scenes: Any, gate: str, said: str) -> None:
    world, run = scenes
    with pytest.raises(UsageError, match=said):
        evaluate_run(EvaluateRequest(str(run), world.runs, minimums=(gate,)), Reporter())


def some_scenes(world: Any, path: Path, number: int) -> Path:
    """Write a table of the first scenes, beside that of all of them, without splits."""
    lines = (world.folder / "scenes" / "labels.csv").read_text().splitlines()
    path.write_text("\n".join(line.rpartition(",")[0] for line in lines[: number + 1]))
    return path


def test_other_images_are_a_table_with_label_sets_and_take_further_passes(scenes: Any, tmp_path: Path) -> None:
    world, run = scenes
    table = some_scenes(world, world.folder / "scenes" / "other.csv", 12)
    request = EvaluateRequest(str(run), world.runs, data=table, out=tmp_path / "out", tta=True, corrupt=True)
    result = evaluate_run(request, Reporter()).as_json()
    assert result["examples"] == 12
    assert result["known"]["train"] > 0
    assert result["robustness"]["clean_error"] == pytest.approx(result["metrics"]["hamming_loss"])
    assert {"map", "hamming_loss"} <= set(result["tta"]["gain"])


def test_a_folder_of_classes_says_too_little_for_several_labels(
    scenes: Any, digits_folder: Path, tmp_path: Path
) -> None:
    world, run = scenes
    folder = tmp_path / "others"
    for digit in "01":
        shutil.copytree(digits_folder / "digits" / "test" / digit, folder / digit)
    with pytest.raises(
        DataError, match=r"is a folder, which gives each image one class; here an image may have several"
    ):
        evaluate_run(EvaluateRequest(str(run), world.runs, data=folder), Reporter())
