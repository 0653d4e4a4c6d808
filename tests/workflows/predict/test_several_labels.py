"""`predict` for images that may have several labels: of a run, and of an artefact."""

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

from tests.listener import Listener
from tests.workflows.predict.predicted import said
from transfercli.cli.commands.predict import WRITERS
from transfercli.errors import UsageError
from transfercli.evaluation.multilabel.trust import LabelAbstention, write_label_trust
from transfercli.reporting import Reporter
from transfercli.workflows.export.export import ExportRunRequest, export_run
from transfercli.workflows.predict.predict import PredictRequest, predict_images
from transfercli.workflows.stored_run import StoredRun


@pytest.fixture(scope="module")
def images(scenes: Any) -> list[str]:
    return [str(file) for file in sorted((scenes[0].folder / "scenes").glob("*.png"))[:40]]


@pytest.fixture(scope="module")
def artefact(scenes: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    world, run = scenes
    out = tmp_path_factory.mktemp("exported")
    (made,) = export_run(ExportRunRequest(str(run), world.runs, ("onnx",), out=out), Reporter()).artefacts
    assert made["label_agreement"] == 1
    return Path(made["path"])


def test_an_image_gets_the_labels_at_or_above_their_thresholds(scenes: Any, images: list[str]) -> None:
    world, run = scenes
    stored = StoredRun.find(str(run), world.runs, Reporter())
    thresholds = dict(zip(stored.labels, stored.label_trust.thresholds, strict=True))
    counts = set()
    for answer in said(world, run, images):
        line = answer.as_json()
        probabilities = dict(line["top"])
        assert list(probabilities.values()) == sorted(probabilities.values(), reverse=True)
        expected = [pair for pair in line["top"] if pair[1] >= thresholds[pair[0]]]
        assert line["labels"] == expected
        best = expected[0] if expected else [None, line["top"][0][1]]
        assert [line["label"], line["probability"]] == best
        counts.add(len(expected))
    assert 0 in counts
    assert max(counts) > 1


def test_top_limits_the_probabilities_and_not_the_labels(scenes: Any, images: list[str]) -> None:
    world, run = scenes
    whole, short = said(world, run, images), said(world, run, images, top=1)
    assert [one.answered for one in short] == [one.answered for one in whole]
    assert {len(one.top) for one in short} == {1}


def test_an_artefact_gives_the_same_labels_as_its_run(scenes: Any, images: list[str], artefact: Path) -> None:
    world, run = scenes
    names = lambda answers: [[label for label, _ in answer.answered] for answer in answers]  # noqa: E731
    assert names(said(world, artefact, images)) == names(said(world, run, images))


@pytest.mark.slow
def test_labels_whose_answer_is_less_probable_than_their_confidence_are_unsure_in_run_and_artefact(
    scenes: Any, images: list[str], tmp_path: Path
) -> None:
    world, run = scenes
    copy = tmp_path / "scenes" / run.name
    shutil.copytree(run, copy)
    stored = StoredRun.find(str(copy), world.runs, Reporter())
    thresholds = stored.label_trust.thresholds
    given = np.array([[dict(answer.top)[label] for label in stored.labels] for answer in said(world, run, images)])
    typical = np.median(np.where(given >= thresholds, given, 1 - given), axis=0)
    least = (0.0, float(typical[1]) + 1e-5, float(typical[2]) + 1e-5, 0.0)
    abstention = LabelAbstention({"accuracy": 0.9}, least, (None,) * 4)
    write_label_trust(copy / "calibration.json", replace(stored.label_trust, abstention=abstention))
    request = ExportRunRequest(str(copy), world.runs, ("onnx",), out=tmp_path / "out")
    (made,) = export_run(request, Reporter()).artefacts
    found = said(world, copy, images, abstain=True)
    for answer in found:
        probabilities = dict(answer.top)
        rows = zip(stored.labels, (probabilities[label] for label in stored.labels), thresholds, least, strict=True)
        unsure = [label for label, p, threshold, lowest in rows if (p if p >= threshold else 1 - p) < lowest]
        assert answer.as_json()["unsure"] == unsure
        assert answer.abstained or not unsure
    assert len({answer.unsure for answer in found}) > 2
    assert [one.unsure for one in said(world, made["path"], images, abstain=True)] == [one.unsure for one in found]
    assert all("unsure" not in one.as_json() for one in said(world, copy, images[:3]))


def test_a_model_that_is_always_unsure_of_a_label_warns_that_it_abstains_from_every_image(
    scenes: Any, images: list[str], tmp_path: Path
) -> None:
    world, run = scenes
    copy = tmp_path / "scenes" / run.name
    shutil.copytree(run, copy)
    trust = StoredRun.find(str(copy), world.runs, Reporter()).label_trust
    abstention = LabelAbstention({"accuracy": 0.99}, (0.0, None, 0.5, 0.0), (None,) * 4)
    write_label_trust(copy / "calibration.json", replace(trust, abstention=abstention))
    listener = Listener()
    request = PredictRequest(str(copy), world.runs, tuple(images[:2]), abstain=True)
    assert all(answer.abstained for answer in predict_images(request, listener).answers)
    (warning,) = [line for line in listener.warnings if "abstains from every image" in line]
    assert "no confidence of 1 can promise" in warning


def test_a_set_with_the_one_true_label_is_refused(scenes: Any, images: list[str], artefact: Path) -> None:
    world, run = scenes
    for name in (run, artefact):
        with pytest.raises(UsageError, match=r"--sets 0\.9: .* gives an image any number of labels"):
            said(world, name, images, sets=0.9)


def test_csv_has_the_set_of_labels_and_all_of_the_most_probable_ones(
    scenes: Any, images: list[str], tmp_path: Path
) -> None:
    world, run = scenes
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    request = PredictRequest(str(run), world.runs, (*images, str(broken)), top=2)
    out = io.StringIO()
    WRITERS["csv"](predict_images(request, Reporter()), out)
    header, *rows = csv.reader(io.StringIO(out.getvalue()))
    answer = ["path", "label", "probability", "abstained", "error", "labels", "unsure"]
    assert header == [*answer, "label_1", "probability_1", "label_2", "probability_2", "strange", "unknown"]
    assert {len(row) for row in rows} == {len(header)}
    for row, said_by_json in zip(rows, said(world, run, [*images, str(broken)], top=2), strict=True):
        cells, line = dict(zip(header, row, strict=True)), said_by_json.as_json()
        if "error" in line:
            assert (cells["path"], cells["labels"], cells["error"]) == (str(broken), "", line["error"])
            continue
        assert json.loads(cells["labels"]) == sorted(label for label, _ in line["labels"])
        assert cells["unsure"] == ""  # without --abstain
        assert (cells["label"] or None, float(cells["probability"])) == (line["label"], line["probability"])
        assert [cells["label_1"], float(cells["probability_1"])] == line["top"][0]
        assert [cells["label_2"], float(cells["probability_2"])] == line["top"][1]
