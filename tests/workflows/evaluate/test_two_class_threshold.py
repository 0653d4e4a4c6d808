"""The threshold of two classes: one answer in training, evaluation, prediction and artefacts."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.digits import Digits
from tests.workflows.conftest import World
from transfercli.errors import ConfigError
from transfercli.evaluation.confidence.trust import read_trust
from transfercli.reporting import Reporter


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, digits_folder: Path) -> tuple[World, Path]:
    """A run that tells the digits 3 and 8 apart a little, with a threshold for a recall of 0.95."""
    world = World(tmp_path_factory.mktemp("threshold"), digits_folder)
    source = digits_folder / "digits" / "train"
    for label, most in (("3", 100), ("8", 50)):
        folder = world.folder / "images" / label
        folder.mkdir(parents=True)
        for path in sorted((source / label).iterdir())[:most]:
            (folder / path.name).write_bytes(path.read_bytes())
    config = world.config(
        "threshold",
        "digits",
        data={"train": str(world.folder / "images"), "validation": 0.4, "test": 0.3},
        training={"epochs": 2},
        evaluation={"threshold": {"recall": 0.95}},
    )
    return world, Path(world.train("pretrain", config)["run"])


def test_the_threshold_decides_every_answer_of_an_evaluation(trained: tuple[World, Path]) -> None:
    from transfercli.workflows.evaluate.evaluate import evaluate_run
    from transfercli.workflows.evaluate.request import EvaluateRequest

    world, run = trained
    trust = read_trust(run / "calibration.json")
    assert trust is not None
    assert trust.choice is not None
    assert trust.choice.recall >= 0.95
    result = evaluate_run(EvaluateRequest(str(run), world.runs, "validation"), Reporter()).as_json()
    assert result["threshold"]["rule"] == {"recall": 0.95}
    with (run / "evaluation" / "validation" / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {float(row["p:8"]) >= trust.choice.threshold for row in rows} == {True, False}
    for row in rows:
        assert row["predicted"] == ("8" if float(row["p:8"]) >= trust.choice.threshold else "3")
        assert row["probability"] == row[f"p:{row['predicted']}"]
    right = sum(row["predicted"] == row["label"] for row in rows) / len(rows)
    assert result["metrics"]["accuracy"] == pytest.approx(right)
    assert result["per_class"][1]["recall"] == pytest.approx(trust.choice.recall)
    assert result["confusion_matrix"][1][1] == sum(row["predicted"] == row["label"] == "8" for row in rows)


@pytest.mark.slow
def test_an_artefact_gives_the_answers_of_the_run(trained: tuple[World, Path], tmp_path: Path) -> None:
    from transfercli.workflows.export.export import ExportRunRequest, export_run
    from transfercli.workflows.predict.predict import PredictRequest, predict_images

    world, run = trained
    result = export_run(ExportRunRequest(str(run), world.runs, ("keras",), "none", tmp_path, None), Reporter())
    assert result.artefacts[0]["label_agreement"] == 1
    folder = tmp_path / "keras"
    trust = read_trust(run / "calibration.json")
    assert trust is not None
    assert json.loads((folder / "export.json").read_text())["threshold"] == trust.threshold
    images = [str(world.folder / "images")]
    answers: list[list[Any]] = []
    for model in (str(run), str(folder)):
        request = PredictRequest(model, world.runs, tuple(images), 2)
        answers.append([answer.as_json() for answer in predict_images(request, Reporter()).answers])
    of_run, of_artefact = ([(one["path"], one["label"]) for one in each] for each in answers)
    assert of_run == of_artefact
    assert any(one["label"] != one["top"][0][0] for one in answers[0])  # less probable, but above the threshold


@pytest.mark.parametrize(
    "sample, evaluation, reason",
    [
        ("digits", {"threshold": "f1"}, "needs two classes, and the data has 10"),
        ("digits", {"thresholds": "f1"}, "evaluation.thresholds: is for task: multilabel"),
    ],
)
def test_keys_that_do_not_fit_the_data_are_refused_before_training(
    world: World, sample: str, evaluation: dict[str, Any], reason: str
) -> None:
    path = world.config("refused", sample, training={"epochs": 1})
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"evaluation": evaluation}))
    with pytest.raises(ConfigError, match=reason):
        world.train("pretrain", path)
    assert not (world.runs / "refused").exists() or not list((world.runs / "refused").glob("*/checkpoints"))


def test_predictions_come_back_from_their_file_with_their_answers(tmp_path: Path, digits: Digits) -> None:
    import numpy as np

    from transfercli.evaluation.predictions import Predictions

    probabilities = np.array([[0.7, 0.3], [0.9, 0.1], [0.4, 0.6]])
    answers = np.array([1, 0, 1])
    made = Predictions(("a", "b", "c"), ("no", "yes"), np.array([1, 0, 0]), probabilities, answers=answers)
    made.write_csv(tmp_path / "predictions.csv")
    found = Predictions.read_csv(tmp_path / "predictions.csv")
    np.testing.assert_array_equal(found.predicted, answers)
    np.testing.assert_allclose(found.confidence, [0.3, 0.9, 0.6], rtol=1e-6)
    np.testing.assert_array_equal(found.of(np.array([0])).predicted, [1])
