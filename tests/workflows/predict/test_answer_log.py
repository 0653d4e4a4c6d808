"""`predict --log`: the log holds what was predicted, exactly, and nothing of the images."""

from __future__ import annotations

import csv
import io
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.listener import Listener
from tests.workflows.predict.predicted import said
from transfercli.cli.app import app
from transfercli.errors import ArtefactError, UsageError
from transfercli.evaluation.monitoring.counts import UNIT
from transfercli.evaluation.monitoring.histograms import CONFIDENCES, NUMBERS
from transfercli.evaluation.monitoring.kept_images import FOLDER, TABLE
from transfercli.evaluation.monitoring.log_folder import models_in, read_sketches
from transfercli.evaluation.predictions import Predictions
from transfercli.reporting import Reporter
from transfercli.shards import Shard
from transfercli.workflows.logged_model import facts_of
from transfercli.workflows.predict.predict import PredictRequest, predict_images
from transfercli.workflows.predict.predictors import find_model
from transfercli.workflows.stored_run import StoredRun


def counts_of(log: Path) -> dict[str, Any]:
    """Return the counts of a log without the times, which are those of the clock."""
    counts = read_sketches(log).counts.as_json()
    return {name: value for name, value in counts.items() if name not in ("first", "last")}


def test_the_log_has_what_evaluate_says_of_the_same_images(run: Any, tmp_path: Path) -> None:
    from transfercli.workflows.evaluate.evaluate import EvaluateRequest, evaluate_run

    world, folder, _ = run
    evaluate_run(EvaluateRequest(str(folder), world.runs), Reporter())
    known = Predictions.read_csv(folder / "evaluation" / "test" / "predictions.csv")
    root = StoredRun.find(str(folder), world.runs, Reporter()).config.data.train
    files = [str(Path(root) / path) for path in known.paths]
    found = said(world, folder, files, top=5, abstain=True, log=tmp_path / "log")
    sketch, most = read_sketches(tmp_path / "log"), known.probabilities.max(axis=1)
    counts = sketch.counts
    assert (counts.images, counts.failed) == (len(known.paths), 0)
    np.testing.assert_array_equal(counts.predicted, np.bincount(known.probabilities.argmax(axis=1), minlength=5))
    np.testing.assert_allclose(counts.probability * UNIT, known.probabilities.sum(axis=0), atol=1e-3)
    assert sketch.mean_confidence == pytest.approx(most.mean(), abs=1e-5)
    of_csv = np.histogram(most, CONFIDENCES.bins, (0, 1))[0]
    assert np.abs(np.cumsum(of_csv) - np.cumsum(counts.confidence)).max() <= 2  # at the edges of bins
    assert counts.abstained == sum(one.abstained for one in found)
    assert counts.strange == sum(bool(one.strange) for one in found)
    scores = np.array([one.unknown for one in found], float)
    assert np.abs(np.cumsum(NUMBERS.counts(scores)) - np.cumsum(counts.score)).max() <= 2


def test_the_sample_has_the_probabilities_and_the_features_that_data_drift_compares(run: Any, tmp_path: Path) -> None:
    from transfercli.data.load import load_folder_split
    from transfercli.workflows.data.image_features import ImageFeatures

    world, folder, _ = run
    images = world.samples / "digits-source" / "test"
    said(world, folder, [str(images)], log=tmp_path / "log")
    sketch, stored = read_sketches(tmp_path / "log"), StoredRun.find(str(folder), world.runs, Reporter())
    extractor = ImageFeatures(stored)
    outputs = extractor.outputs(load_folder_split(images, "test", stored.labels, stored.reading))
    assert sketch.features is not None
    assert sketch.features.shape[1] == outputs.features.shape[1]
    assert len(sketch.sample) == len(np.unique(sketch.sample.keys)) <= len(outputs.features)
    for rows, own in ((sketch.features, outputs.features), (sketch.probabilities, outputs.probabilities)):
        nearest = np.abs(rows[:, None] - own[None]).max(axis=2).min(axis=1)
        assert nearest.max() < 1e-4 * max(1.0, float(np.abs(own).max()))
    assert sketch.weights.sum() == pytest.approx(sketch.images)


def test_shards_and_repeats_add_up_to_the_log_of_all_images(run: Any, tmp_path: Path) -> None:
    world, folder, files = run
    said(world, folder, files, log=tmp_path / "whole")
    for number in (1, 2, 3):
        said(world, folder, files, log=tmp_path / "parts", shard=Shard(number, 3))
    assert counts_of(tmp_path / "parts") == counts_of(tmp_path / "whole")
    whole, parts = read_sketches(tmp_path / "whole"), read_sketches(tmp_path / "parts")
    np.testing.assert_array_equal(whole.sample.keys, parts.sample.keys)
    np.testing.assert_allclose(whole.probabilities, parts.probabilities, atol=1e-6)
    said(world, folder, files, log=tmp_path / "whole")
    twice = read_sketches(tmp_path / "whole")
    assert twice.images == 2 * whole.images
    np.testing.assert_array_equal(twice.times, 2 * whole.times)
    assert twice.sample.different == whole.sample.different


def test_unreadable_images_are_counted_as_failed(run: Any, tmp_path: Path) -> None:
    world, folder, files = run
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no image")
    said(world, folder, [files[0], str(bad), "missing.png"], log=tmp_path / "log")
    counts = read_sketches(tmp_path / "log").counts
    assert (counts.images, counts.failed) == (1, 2)


def test_the_predictions_are_the_same_with_a_log(run: Any, tmp_path: Path) -> None:
    world, folder, files = run
    without, with_log = said(world, folder, files), said(world, folder, files, log=tmp_path / "log")
    for one, other in zip(without, with_log, strict=True):
        assert (one.path, [name for name, _ in one.top]) == (other.path, [name for name, _ in other.top])
        assert [value for _, value in one.top] == pytest.approx([value for _, value in other.top], abs=1e-6)


def test_a_log_holds_no_path_no_name_and_no_pixels(run: Any, tmp_path: Path) -> None:
    world, folder, files = run
    secret = tmp_path / "ward-7" / "patient-smith.png"
    secret.parent.mkdir()
    shutil.copy(files[0], secret)
    said(world, folder, [str(secret), *files], log=tmp_path / "log")
    from PIL import Image

    with Image.open(secret) as image:
        pixels = np.asarray(image.convert("RGB"))
    forbidden = [b"patient", b"ward-7", str(tmp_path).encode(), str(world.runs).encode(), pixels.tobytes()]
    forbidden += [Path(file).name.encode() for file in files]
    written = [path for path in (tmp_path / "log").rglob("*") if path.is_file()]
    assert not [path for path in written if path.suffix in (".png", ".csv")]
    for path in written:
        content = path.read_bytes()
        assert not [text for text in forbidden if text in content], path


def test_the_least_sure_images_are_kept_as_they_were_sent(run: Any, tmp_path: Path) -> None:
    world, folder, files = run
    found = said(world, folder, files, log=tmp_path / "log", keep_images=6)
    (own,) = models_in(tmp_path / "log")
    rows = list(csv.DictReader(io.StringIO((own / TABLE).read_text())))
    least = sorted(found, key=lambda one: one.best[1])[:6]
    assert [float(row["confidence"]) for row in rows] == pytest.approx([one.best[1] for one in least], abs=1e-6)
    assert [row["label"] for row in rows] == [one.best[0] for one in least]
    for row, one in zip(rows, least, strict=True):
        assert (own / FOLDER / row["file"]).read_bytes() == Path(one.path).read_bytes()
    assert "patient" not in (own / TABLE).read_text()
    again = said(world, folder, [str(own / FOLDER)])  # the folder is one of images, to be labelled
    assert len(again) == 6


def test_an_artefact_has_a_log_of_its_own_without_features(run: Any, exported: Any, tmp_path: Path) -> None:
    world, folder, files = run
    said(world, folder, files, log=tmp_path / "log")
    said(world, exported[1]["onnx"], files, log=tmp_path / "log")
    said(world, exported[0] / "onnx", files, log=tmp_path / "log")  # the same artefact by its folder
    facts = {facts.kind: facts for facts in models_in(tmp_path / "log").values()}
    assert sorted(facts) == ["onnx", "run"]
    assert facts["onnx"].run == facts["run"].run
    with pytest.raises(UsageError, match="answers of 2 models"):
        read_sketches(tmp_path / "log")
    of_run = read_sketches(tmp_path / "log", model=facts["run"].key)
    of_artefact = read_sketches(tmp_path / "log", model=facts["onnx"].key)
    assert of_artefact.images == 2 * of_run.images
    assert of_artefact.features is None
    np.testing.assert_array_equal(of_artefact.sample.keys, of_run.sample.keys)
    np.testing.assert_allclose(of_artefact.probabilities, of_run.probabilities, atol=1e-4)


def test_another_calibration_is_another_model(run: Any, tmp_path: Path) -> None:
    world, folder, _ = run
    copy = tmp_path / "runs" / folder.parent.name / folder.name
    shutil.copytree(folder, copy)
    before = facts_of(find_model(str(copy), world.runs, Reporter()))
    assert before == facts_of(find_model(str(folder), world.runs, Reporter()))
    (copy / "calibration.json").write_text((copy / "calibration.json").read_text() + "\n")
    assert facts_of(find_model(str(copy), world.runs, Reporter())).key != before.key


def test_several_labels_are_counted_label_by_label(scenes: Any, tmp_path: Path) -> None:
    world, folder = scenes
    files = [str(file) for file in sorted((world.folder / "scenes").glob("*.png"))[:40]]
    found = said(world, folder, files, top=100, abstain=True, log=tmp_path / "log", keep_images=3)
    sketch = read_sketches(tmp_path / "log")
    counts, labels = sketch.counts, sketch.model.labels
    for place, label in enumerate(labels):
        given = [dict(one.answered or ()).get(label) is not None for one in found]
        assert counts.predicted[place] == sum(given)
        probabilities = np.array([dict(one.top)[label] for one in found])
        assert counts.probability[place] * UNIT == pytest.approx(probabilities.sum(), abs=1e-4)
        right = np.where(given, probabilities, 1 - probabilities)
        assert counts.confidence_of[place] * UNIT == pytest.approx(right.sum(), abs=1e-4)
    assert counts.confidence.sum() == counts.images == 40
    assert 0.5 <= (sketch.mean_confidence or 0) <= 1


def test_a_log_among_the_images_and_images_without_a_log_are_refused(run: Any, tmp_path: Path) -> None:
    world, folder, files = run
    photos = tmp_path / "photos"
    photos.mkdir()
    shutil.copy(files[0], photos)
    for places in ({"paths": (str(photos),)}, {"paths": (), "watch": photos}):
        request = PredictRequest(str(folder), world.runs, log=photos / "deep" / "log", **places)
        with pytest.raises(UsageError, match="whose images are predicted"):
            predict_images(request, Reporter())
    assert not (photos / "deep").exists()
    arguments = ["predict", str(folder), str(photos), "--runs", str(world.runs)]
    for options, reason in (
        (["--keep-images", "3"], "add --log"),
        (["--log", "l", "--engine", "ray"], "counted twice"),
    ):
        done = CliRunner().invoke(app, [*arguments, *options], env={"COLUMNS": "1000"})
        assert done.exit_code == 2
        assert reason in done.output


def test_a_damaged_earlier_file_stops_no_prediction(run: Any, tmp_path: Path) -> None:
    world, folder, files = run
    said(world, folder, files[:2], log=tmp_path / "log")
    (own,) = models_in(tmp_path / "log")
    (own / "2026-01-01.0123456789abcdef.safetensors").write_bytes(b"no tensors")
    listener = Listener()
    request = PredictRequest(str(folder), world.runs, tuple(files[:2]), log=tmp_path / "log")
    assert len(list(predict_images(request, listener).answers)) == 2
    assert "earlier files of the answer log stay as they are" in "".join(listener.warnings)
    with pytest.raises(ArtefactError, match=r"2026-01-01\.0123456789abcdef\.safetensors is"):
        read_sketches(tmp_path / "log")
