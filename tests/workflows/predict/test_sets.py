"""`predict --sets` on a real run, on what was exported from it, and on runs of earlier versions."""

from __future__ import annotations

import csv
import io
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.workflows.predict.predicted import said
from transfercli.cli.commands.predict import WRITERS
from transfercli.errors import ArtefactError, UsageError
from transfercli.evaluation.confidence.conformal import conformal_scores
from transfercli.evaluation.predictions import Predictions
from transfercli.reporting import Reporter
from transfercli.workflows.evaluate.evaluate import EvaluateRequest, evaluate_run
from transfercli.workflows.predict import predictors
from transfercli.workflows.predict.predict import PredictRequest, predict_images


def test_a_set_has_the_labels_that_the_scores_of_the_validation_images_allow(run: Any) -> None:
    world, folder, files = run
    evaluate_run(EvaluateRequest(str(folder), world.runs, "validation"), Reporter())
    known = Predictions.read_csv(folder / "evaluation" / "validation" / "predictions.csv")
    thresholds = conformal_scores(known.probabilities, known.targets).thresholds(0.99)
    found = said(world, folder, files, sets=0.99)
    for one in found:
        assert one.labels is not None
        probabilities = dict(one.top)
        assert one.labels[0] == one.top[0][0]
        allowed = {
            label for label, least in zip(known.labels, thresholds, strict=True) if probabilities[label] >= least
        }
        assert set(one.labels) == allowed | {one.labels[0]}
    assert {len(one.labels or ()) for one in found} != {1}
    assert said(world, folder, files[:1])[0].labels is None


def test_an_evaluation_tells_the_coverage_and_the_size_of_these_sets(run: Any) -> None:
    world, folder, _ = run
    result = evaluate_run(EvaluateRequest(str(folder), world.runs), Reporter()).as_json()
    known = Predictions.read_csv(folder / "evaluation" / "test" / "predictions.csv")
    row = result["conformal"]["levels"][1]
    paths = [
        str(world.samples / "digits-source" / "test" / Path(path).parts[-2] / Path(path).name) for path in known.paths
    ]
    found = said(world, folder, paths, sets=row["level"])
    truth = [known.labels[target] for target in known.targets]
    held = [label in (one.labels or ()) for one, label in zip(found, truth, strict=True)]
    assert row["coverage"] == pytest.approx(np.mean(held))
    assert row["mean_size"] == pytest.approx(np.mean([len(one.labels or ()) for one in found]))
    assert row["interval"][0] < row["coverage"] < row["interval"][1]


@pytest.mark.parametrize("name", ["onnx", pytest.param("saved_model", marks=pytest.mark.slow)])
def test_an_artefact_gives_the_same_sets(run: Any, exported: Any, name: str) -> None:
    world, folder, files = run
    out, paths = exported
    expected = [one.labels for one in said(world, folder, files, sets=0.9)]
    for place in (out / name, paths[name]):
        assert [one.labels for one in said(world, place, files, sets=0.9)] == expected


def test_lines_have_a_key_and_tables_a_last_column_for_the_set(run: Any) -> None:
    world, folder, files = run
    request = PredictRequest(str(folder), world.runs, (files[0], "no.png"), top=2, sets=0.9)
    table, lines = io.StringIO(), io.StringIO()
    WRITERS["csv"](predict_images(request, Reporter()), table)
    WRITERS["jsonl"](predict_images(request, Reporter()), lines)
    first, second = (json.loads(line) for line in lines.getvalue().splitlines())
    assert set(first["set"]) <= set("01234")
    assert first["set"][0] == first["label"]
    assert "set" not in second
    header, *rows = csv.reader(io.StringIO(table.getvalue()))
    assert header[-1] == "set"
    assert json.loads(rows[0][-1]) == first["set"]
    assert (rows[1][0], rows[1][-1], len(rows[1])) == ("no.png", "", len(header))


def test_a_level_that_the_validation_images_cannot_serve_is_refused_before_an_image_is_read(run: Any) -> None:
    world, folder, files = run
    with pytest.raises(UsageError, match=r"0.9999 need at least 9999 images held out from training"):
        predict_images(PredictRequest(str(folder), world.runs, tuple(files), sets=0.9999), Reporter())


def test_a_run_from_before_there_were_scores_takes_them_from_its_evaluated_validation_images(run: Any) -> None:
    world, folder, files = run
    old = world.folder / "before-scores" / "digits-source" / "older"
    shutil.copytree(folder, old, symlinks=True, ignore=shutil.ignore_patterns("evaluation"))
    trust = json.loads((old / "calibration.json").read_text())
    earlier = {key: trust[key] for key in ("temperature", "target", "confidence", "energy")}
    (old / "calibration.json").write_text(json.dumps(earlier))
    with pytest.raises(ArtefactError, match="has no conformal scores") as refused:
        said(world, old, files[:1], sets=0.9)
    assert f"evaluate {old} --split validation" in str(refused.value.hint)
    result = evaluate_run(EvaluateRequest(str(old), world.runs, "validation"), Reporter()).as_json()
    assert (result["calibration"]["decision"], result["conformal"]) == (None, None)
    expected = [one.labels for one in said(world, folder, files, sets=0.9)]
    assert [one.labels for one in said(world, old, files, sets=0.9)] == expected


def test_damaged_scores_of_an_artefact_are_refused(run: Any, exported: Any, tmp_path: Path) -> None:
    world, _, files = run
    shutil.copytree(exported[0] / "onnx", tmp_path / "onnx")
    card = tmp_path / "onnx" / "export.json"
    exported_card = json.loads(card.read_text())
    exported_card["conformal"]["pooled"]["scores"][0] = 7
    card.write_text(json.dumps(exported_card))
    with pytest.raises(ArtefactError, match=r"conformal scores of .* are damaged"):
        said(world, tmp_path / "onnx", files[:1], sets=0.9)


def test_an_artefact_from_before_there_were_scores_must_be_exported_again(run: Any, monkeypatch: Any) -> None:
    world, folder, _ = run
    model = replace(predictors.find_model(str(folder), world.runs, Reporter()), scores=lambda: None)
    monkeypatch.setattr(predictors, "find_artefact", lambda path: ("onnx", path))
    with pytest.raises(ArtefactError, match="has no conformal scores") as refused:
        predictors.with_sets(model, "exports/onnx", 0.9)
    assert refused.value.hint == "export the run again"
