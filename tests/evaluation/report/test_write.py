from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from transfercli.evaluation.predictions import Predictions
from transfercli.evaluation.report.report import ReportContext
from transfercli.evaluation.report.write import write_evaluation
from transfercli.evaluation.result import evaluate

CONTEXT = ReportContext(experiment="digits", run_id="one", split="test", made_from={"model": "abc"})
FILES = ["confusion_matrix.png", "metrics.json", "predictions.csv", "report.html"]


def test_the_four_files_are_written_and_nothing_else(predictions: Predictions, tmp_path: Path) -> None:
    folder = tmp_path / "evaluation" / "test"
    evaluation = evaluate(predictions)
    write_evaluation(folder, evaluation, predictions, CONTEXT)
    assert sorted(path.name for path in folder.iterdir()) == FILES
    written = json.loads((folder / "metrics.json").read_text())
    assert written == {"split": "test", **evaluation.as_result(), "made_from": {"model": "abc"}}
    again = Predictions.read_csv(folder / "predictions.csv")
    assert evaluate(again).as_result() == evaluation.as_result()


def test_names_that_are_not_utf8_reach_every_file(predictions: Predictions, tmp_path: Path) -> None:
    labels = ("\udce9", *predictions.labels[1:])
    predictions = Predictions(
        tuple(f"\udce9/{p}" for p in predictions.paths), labels, predictions.targets, predictions.probabilities
    )
    write_evaluation(tmp_path, evaluate(predictions), predictions, CONTEXT)
    assert Predictions.read_csv(tmp_path / "predictions.csv").labels == labels
    (tmp_path / "report.html").read_text(encoding="utf-8")


def test_a_failure_leaves_the_earlier_files(predictions: Predictions, tmp_path: Path) -> None:
    write_evaluation(tmp_path, evaluate(predictions), predictions, CONTEXT)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def broken(indices: np.ndarray) -> np.ndarray:
        raise OSError("gone")

    fewer = Predictions(
        predictions.paths[:50], predictions.labels, predictions.targets[:50], predictions.probabilities[:50]
    )
    context = ReportContext(experiment="digits", run_id="two", split="test", thumbnails=broken)
    with pytest.raises(OSError, match="gone"):
        write_evaluation(tmp_path, evaluate(fewer), fewer, context)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
