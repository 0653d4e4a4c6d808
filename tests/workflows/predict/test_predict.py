"""`predict` on a real run and on what was exported from it."""

from __future__ import annotations

import io
import json
import shutil
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.export.kinds import KINDS
from tests.listener import Listener
from tests.workflows.predict.predicted import said
from transfercli.cli.commands.predict import WRITERS
from transfercli.errors import DataError
from transfercli.reporting import Reporter
from transfercli.workflows.predict import predict as workflow
from transfercli.workflows.predict import predictors
from transfercli.workflows.predict.predict import PredictRequest, predict_images
from transfercli.workflows.predict.predictors import ModelOutput


def test_answers_are_what_evaluate_says_of_the_same_images(run: Any) -> None:
    from transfercli.evaluation.predictions import Predictions
    from transfercli.workflows.evaluate.evaluate import EvaluateRequest, evaluate_run

    world, folder, files = run
    evaluate_run(EvaluateRequest("digits-source", world.runs), Reporter())
    known = Predictions.read_csv(folder / "evaluation" / "test" / "predictions.csv")
    rows = {Path(path).name: row for path, row in zip(known.paths, known.probabilities, strict=True)}
    found = said(world, "digits-source", files, top=5)
    assert [one.path for one in found] == files
    for one in found:
        probabilities = dict(one.top)
        assert sum(probabilities.values()) == pytest.approx(1, abs=1e-5)
        assert [probabilities[label] for label in known.labels] == pytest.approx(
            list(rows[Path(one.path).name]), abs=1e-5
        )
        assert list(probabilities.values()) == sorted(probabilities.values(), reverse=True)


def test_what_cannot_be_read_is_told_in_its_place(run: Any, tmp_path: Path) -> None:
    world, folder, files = run
    bad = tmp_path / "bad.png"
    bad.write_bytes(Path(files[0]).read_bytes()[:60])
    found = said(world, folder, [files[0], str(bad), "no.png", files[1]], top=2)
    assert [bool(one.error) for one in found] == [False, True, True, False]
    assert found[2].as_json() == {"path": "no.png", "error": "does not exist"}
    told = found[0].as_json()
    assert list(told) == ["path", "label", "probability", "top", "abstained", "strange", "unknown"]
    assert told["top"][0] == [told["label"], told["probability"]]
    assert len(told["top"]) == 2
    assert told["abstained"] is False


def test_where_all_fail_every_one_is_told_before_the_error_and_no_network_is_loaded(
    run: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    world, folder, _ = run
    source = predictors.find_model(str(folder), world.runs, Reporter())
    monkeypatch.setattr(workflow, "find_model", lambda *_: replace(source, load=pytest.fail))
    answers = predict_images(PredictRequest(str(folder), world.runs, ("no.png", str(tmp_path))), Reporter()).answers
    assert [next(answers).error, next(answers).error] == ["does not exist", "no image in this folder"]
    with pytest.raises(DataError, match="none of 2 images could be read"):
        next(answers)


@pytest.mark.parametrize("name", ["onnx", "saved_model"])
def test_an_artefact_answers_as_the_run_does(run: Any, exported: Any, name: str) -> None:
    world, folder, files = run
    out, paths = exported
    expected = said(world, folder, files, top=5)
    for place in (out / name, paths[name]):
        found = said(world, place, files, top=5)
        for one, other in zip(found, expected, strict=True):
            assert one.top[0][0] == other.top[0][0]
            assert dict(one.top) == pytest.approx(dict(other.top), abs=1e-4)


def test_every_kind_of_file_has_one_label_through_predict_the_run_and_the_bytes(
    run: Any, exported: Any, tmp_path: Path
) -> None:
    import tensorflow as tf

    from transfercli.evaluation.predictions import Predictions
    from transfercli.workflows.evaluate.evaluate import EvaluateRequest, evaluate_run

    world, folder, files = run
    with Image.open(files[7]) as digit:
        photo = digit.convert("RGB").resize((320, 240), Image.Resampling.BICUBIC)
    (tmp_path / "1").mkdir()
    for kind, (extension, write, _) in KINDS.items():
        write(photo, tmp_path / "1" / f"{kind}.{extension}")
    found = {Path(one.path).name: one.top[0] for one in said(world, folder, [str(tmp_path)])}
    evaluate_run(EvaluateRequest(str(folder), world.runs, data=tmp_path), Reporter())
    table = Predictions.read_csv(folder / "evaluation" / f"test-{tmp_path.name}" / "predictions.csv")
    evaluated = {Path(path).name: table.labels[row] for path, row in zip(table.paths, table.predicted, strict=True)}
    assert len(found) == len(KINDS)
    assert evaluated == {name: label for name, (label, _) in found.items()}
    served = tf.saved_model.load(str(exported[0] / "saved_model" / "1"))  # noqa: TID251 - written by this very test
    serve = served.signatures["serve_bytes"]
    for name, (label, probability) in found.items():
        if KINDS[Path(name).stem][2] is not None:  # else serve_bytes refuses the file
            answer = serve(tf.constant([(tmp_path / "1" / name).read_bytes()]))
            best = int(answer["probabilities"][0].numpy().argmax())
            assert answer["labels"][best].numpy().decode() == label, name
            assert float(answer["probabilities"][0][best]) == pytest.approx(probability, abs=0.02), name


def test_with_abstain_what_is_doubted_is_marked_and_still_told(run: Any, monkeypatch: Any) -> None:
    world, folder, files = run
    source = predictors.find_model(str(folder), world.runs, Reporter())

    def load() -> Any:
        return lambda images: ModelOutput(
            np.tile([0.5, 0.2, 0.1, 0.1, 0.1], (len(images), 1)), np.arange(len(images)) % 2 == 0
        )

    monkeypatch.setattr(workflow, "find_model", lambda *_: replace(source, load=load))
    found = said(world, folder, files[:5], abstain=True)
    assert [one.abstained for one in found] == [True, True, False, True, False]  # the first is answered alone
    assert {one.top[0] for one in found} == {("0", 0.5)}
    assert not any(one.abstained for one in said(world, folder, files[:5]))


def test_a_model_that_abstains_from_every_image_says_why_once(run: Any, tmp_path: Path) -> None:
    world, folder, files = run
    shutil.copytree(folder, tmp_path / "r", symlinks=True)
    calibration = tmp_path / "r" / "calibration.json"
    values = json.loads(calibration.read_text())
    calibration.write_text(json.dumps(values | {"target": {"accuracy": 0.99}, "confidence": None, "possible": 0.8}))
    listener = Listener()
    request = PredictRequest(str(tmp_path / "r"), world.runs, tuple(files[:2]), abstain=True)
    assert all(one.abstained for one in predict_images(request, listener).answers)
    (warning,) = (text for text in listener.warnings if "abstains from every image" in text)
    assert warning.endswith("by the validation images accuracy 0.8 is the most that can be promised")
    listener.warnings.clear()
    list(predict_images(replace(request, abstain=False), listener).answers)
    assert not any("abstains" in text for text in listener.warnings)


def test_the_first_image_is_answered_alone_and_the_last_batch_is_padded_to_a_power_of_two(
    run: Any, monkeypatch: Any
) -> None:
    world, folder, files = run
    source = predictors.find_model(str(folder), world.runs, Reporter())
    shapes: list[tuple[int, ...]] = []

    def load() -> Any:
        def answer(images: np.ndarray) -> ModelOutput:
            shapes.append(images.shape)
            return ModelOutput(np.full((len(images), 5), 0.2), np.zeros(len(images), bool))

        return answer

    monkeypatch.setattr(workflow, "find_model", lambda *_: replace(source, load=load, batch_size=lambda: 8))
    monkeypatch.setattr("transfercli.data.decoding.stream.POLL_SECONDS", 30)
    assert len(said(world, folder, files[:20])) == 20
    assert shapes == [(1, 32, 32, 3), (8, 32, 32, 3), (8, 32, 32, 3), (4, 32, 32, 3)]


def test_a_batch_is_computed_while_the_answers_of_the_one_before_are_read(run: Any, monkeypatch: Any) -> None:
    world, folder, files = run
    source = predictors.find_model(str(folder), world.runs, Reporter())
    third = threading.Event()
    started: list[int] = []

    def answer(images: np.ndarray) -> ModelOutput:
        started.append(len(images))
        if len(started) == 3:
            third.set()
        return ModelOutput(np.full((len(images), 5), 0.2), np.zeros(len(images), bool))

    monkeypatch.setattr(workflow, "find_model", lambda *_: replace(source, load=lambda: answer, batch_size=lambda: 8))
    monkeypatch.setattr("transfercli.data.decoding.stream.POLL_SECONDS", 30)
    answers = predict_images(PredictRequest(str(folder), world.runs, tuple(files[:20])), Reporter()).answers
    assert [next(answers).path for _ in range(2)] == files[:2]
    assert third.wait(30)
    assert [one.path for one in answers] == files[2:20]


def test_an_error_of_the_network_reaches_the_caller(run: Any, monkeypatch: Any) -> None:
    world, folder, files = run
    source = predictors.find_model(str(folder), world.runs, Reporter())

    def fail(images: np.ndarray) -> ModelOutput:
        raise DataError("the device is gone")

    monkeypatch.setattr(workflow, "find_model", lambda *_: replace(source, load=lambda: fail))
    with pytest.raises(DataError, match="the device is gone"):
        said(world, folder, files[:3])


def test_csv_has_a_row_an_image_and_two_columns_a_further_class(run: Any) -> None:
    world, folder, files = run
    out = io.StringIO()
    WRITERS["csv"](
        predict_images(PredictRequest(str(folder), world.runs, (files[0], "no,.png"), top=2), Reporter()), out
    )
    header, first, second = out.getvalue().splitlines()
    assert header == "path,label,probability,abstained,error,label_2,probability_2,strange,unknown"
    assert first.startswith(f"{files[0]},0,")
    assert second == '"no,.png",,,,does not exist,,,,'


def test_a_line_is_one_json_object(run: Any) -> None:
    world, folder, files = run
    out = io.StringIO()
    WRITERS["jsonl"](predict_images(PredictRequest(str(folder), world.runs, (files[0],)), Reporter()), out)
    assert json.loads(out.getvalue())["label"] == "0"


def test_with_abstain_the_run_s_own_calibration_decides(run: Any) -> None:
    world, folder, files = run
    trust = json.loads((folder / "calibration.json").read_text())
    found = said(world, folder, files, abstain=True)
    unsure = [trust["confidence"] is None or one.top[0][1] < trust["confidence"] for one in found]
    assert any(unsure)
    assert all(one.abstained for one, doubted in zip(found, unsure, strict=True) if doubted)
    assert not any(one.abstained for one in said(world, folder, files))
