"""predictions.csv of several labels: what it holds, and that it is read back as it was written."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from transfercli.errors import ArtefactError
from transfercli.evaluation.multilabel.predictions import LabelPredictions

LABELS = ("=1+1", 'chien, "chat"; ñ', "dog")


@pytest.fixture
def predictions() -> LabelPredictions:
    probabilities = np.array([[0.9, 0.1, 0.4], [0.2, 0.3, 0.1], [1 / 3, 0.7, 0.6]], np.float32)
    targets = [[1, 0, 1], [0, 0, 0], [-1, 1, -1]]
    return LabelPredictions(("a.png", "b\udcff.png", "c.png"), LABELS, targets, probabilities, [0.5, 0.625, 0.375])


def test_a_file_names_the_labels_that_images_have_and_get(predictions: LabelPredictions, tmp_path: Path) -> None:
    predictions.write_csv(tmp_path / "predictions.csv")
    text = (tmp_path / "predictions.csv").read_text(errors="surrogateescape")
    first, empty, unknown = csv.DictReader(text.splitlines())
    assert list(first) == ["path", "label", "predicted", "probability", *(f"p:{label}" for label in LABELS)]
    assert [first["label"], first["predicted"], first["probability"]] == ['["=1+1", "dog"]', '["=1+1", "dog"]', "0.9"]
    assert [empty["label"], empty["predicted"], empty["probability"]] == ["[]", "[]", "0.3"]
    assert unknown["label"] == r'{"has": ["chien, \"chat\"; ñ"], "unknown": ["=1+1", "dog"]}'
    assert unknown["predicted"] == r'["chien, \"chat\"; ñ", "dog"]'


def test_a_file_is_read_back_with_the_same_targets_answers_and_bits(
    predictions: LabelPredictions, tmp_path: Path
) -> None:
    predictions.write_csv(tmp_path / "predictions.csv")
    read = LabelPredictions.read_csv(tmp_path / "predictions.csv", predictions.thresholds)
    assert (read.paths, read.labels) == (predictions.paths, predictions.labels)
    for name in ("targets", "probabilities", "answered"):
        np.testing.assert_array_equal(getattr(read, name), getattr(predictions, name))


def test_other_thresholds_and_damage_are_errors(predictions: LabelPredictions, tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    predictions.write_csv(path)
    with pytest.raises(ArtefactError, match="other thresholds"):
        LabelPredictions.read_csv(path, np.full(3, 0.05))
    text = path.read_text(errors="surrogateescape")
    for damaged in (text.replace('"dog"', '"cow"'), text.replace("0.9,0.1", "0.9"), text + "d.png\n"):
        path.write_text(damaged, errors="surrogateescape")
        with pytest.raises(ArtefactError, match=r"predictions.csv is damaged"):
            LabelPredictions.read_csv(path, predictions.thresholds)


def test_a_spreadsheet_program_runs_no_formula_of_a_label(predictions: LabelPredictions, tmp_path: Path) -> None:
    predictions.write_spreadsheet(tmp_path / "sheet.csv")
    text = (tmp_path / "sheet.csv").read_text("utf-8-sig")
    assert not any(cell.startswith("=") for row in csv.reader(text.splitlines()) for cell in row)


def test_arrays_of_other_shapes_or_values_are_refused(predictions: LabelPredictions) -> None:
    with pytest.raises(
        ValueError, match=r"need targets and probabilities \[3, 3\] and thresholds \[3\]; received \[3\]"
    ):
        replace(predictions, targets=[0, 1, 2])
    with pytest.raises(ValueError, match="targets must be 1, 0, or -1 if unknown"):
        replace(predictions, targets=predictions.targets * 2)
    with pytest.raises(ArtefactError, match=r"NaN, infinite or negative .* for 1 of 3 images"):
        replace(predictions, probabilities=np.where(predictions.probabilities > 0.85, np.nan, 0.5))
