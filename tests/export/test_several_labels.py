"""Artefacts of a model that gives an image several labels: probabilities, labels and thresholds in every format."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.digits import Digits
from tests.export.any_network import ANY_NETWORK
from transfercli.data.label_sets import UNKNOWN
from transfercli.errors import ArtefactError
from transfercli.export import exporter
from transfercli.export.exporter import ExportRejected, ExportRequest, Reference, export_formats
from transfercli.export.formats.registry import FORMATS
from transfercli.export.formats.snippets import SEVERAL_LABELS
from transfercli.export.spec import ExportSpec, LabelDecisions, WriteJob
from transfercli.export.verify.parity import ParityOutput
from transfercli.export.writing import write
from transfercli.reporting import Reporter

LABELS = ("beach", "dog", "naïve\nsunset", "bird")
THRESHOLDS = (0.3, 0.55, 0.7, 0.45)


def predictor_of(labels: int) -> Any:
    """Return an untrained predictor with sigmoids: uint8 [N, 16, 16, 3] -> float32 [N, labels]."""
    import keras

    image = keras.Input((16, 16, 3), dtype="uint8", name="image")
    x = keras.layers.Conv2D(8, 3, activation="relu")(keras.layers.Rescaling(1 / 255)(image))
    x = keras.layers.GlobalAveragePooling2D()(x)
    logits = keras.layers.Dense(labels)(x)
    probabilities = keras.layers.Activation("sigmoid", dtype="float32", name="probabilities")(logits)
    model, rng = keras.Model(image, probabilities, name="predictor"), np.random.default_rng(1)
    for layer in model.layers:  # the same weights on every backend
        if layer.weights:
            shape = layer.kernel.shape
            layer.kernel.assign(rng.normal(0, 9 if len(shape) == 2 else 0.2, shape))
    return model


@pytest.fixture(scope="module")
def made(digits: Digits) -> SimpleNamespace:
    """A predictor of four labels, its spec, and 60 digits with its own answers; targets are partly unknown."""
    predictor, images = predictor_of(len(LABELS)), digits.rgb(range(60), 16)
    probabilities = np.asarray(predictor.predict_on_batch(images))
    ones, zeros = np.ones(len(LABELS)), np.zeros(len(LABELS))
    spec = ExportSpec(
        LABELS, (16, 16), decisions=LabelDecisions.of(ones, zeros, np.array(THRESHOLDS)), task="multilabel"
    )
    rng = np.random.default_rng(0)
    targets = (rng.random(probabilities.shape) < probabilities).astype(np.int32)
    targets[rng.random(targets.shape) < 0.2] = UNKNOWN
    reference = Reference(images, (), probabilities, targets)
    return SimpleNamespace(predictor=predictor, spec=spec, reference=reference, images=images)


def sets_of(probabilities: np.ndarray, thresholds: Any = THRESHOLDS) -> np.ndarray:
    return probabilities >= np.array(thresholds, np.float32)


@pytest.mark.parametrize("name", sorted(ANY_NETWORK))
def test_an_artefact_alone_gives_the_labels_that_the_run_gives(
    name: str, made: SimpleNamespace, tmp_path: Path
) -> None:
    place = tmp_path / (FORMATS[name].entry or name)
    write(name, WriteJob(made.predictor, made.spec, place), Reporter())
    found = FORMATS[name].read(place)
    assert (found.spec, found.labels) == (made.spec, LABELS)
    assert found.thresholds == made.spec.thresholds == tuple(np.array(THRESHOLDS, np.float32).tolist())
    probabilities = found.from_tensors(made.images)
    assert probabilities.shape == (60, 4)
    assert np.array_equal(sets_of(probabilities, found.thresholds), sets_of(made.reference.probabilities))


def test_both_signatures_of_a_saved_model_return_probabilities_labels_and_thresholds(
    made: SimpleNamespace, digits: Digits, tmp_path: Path
) -> None:
    import tensorflow as tf

    write("saved_model", WriteJob(made.predictor, made.spec, tmp_path / "saved_model"), Reporter())
    loaded = tf.saved_model.load(str(tmp_path / "saved_model"))  # noqa: TID251
    png = digits.png(3, (16, 16), "RGB")
    for outputs in (
        loaded.signatures["serve"](images=tf.constant(made.images[:2])),
        loaded.signatures["serve_bytes"](encoded=tf.constant([png, png])),
    ):
        assert set(outputs) == {"probabilities", "labels", "thresholds"}
        assert outputs["probabilities"].shape == (2, 4)
        assert outputs["thresholds"].dtype == tf.float32
        assert outputs["thresholds"].numpy().tolist() == np.array(THRESHOLDS, np.float32).tolist()
        assert [label.decode() for label in outputs["labels"].numpy()] == list(LABELS)


@pytest.mark.parametrize("quantize", ["none", "float16", "int8"])
def test_onnx_has_the_thresholds_exactly_as_an_output_whatever_the_weights_are(
    quantize: str, made: SimpleNamespace, tmp_path: Path
) -> None:
    import onnxruntime

    many = 1500  # more numbers than a tensor that float16 leaves alone
    thresholds = np.random.default_rng(0).uniform(0.1, 0.9, many)
    decisions = LabelDecisions.of(np.ones(many), np.zeros(many), thresholds)
    spec = ExportSpec(
        tuple(f"label {number}" for number in range(many)), (16, 16), decisions=decisions, task="multilabel"
    )
    job = WriteJob(predictor_of(many), spec, tmp_path / "model.onnx", quantize, made.images[:8])
    FORMATS["onnx"].write(job)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    outputs = dict(
        zip([x.name for x in session.get_outputs()], session.run(None, {"images": made.images}), strict=True)
    )
    assert set(outputs) == {"probabilities", "thresholds"}
    assert np.array_equal(outputs["thresholds"], thresholds.astype(np.float32))
    assert json.loads(session.get_modelmeta().custom_metadata_map["thresholds"]) == list(decisions.thresholds)


def test_an_export_is_proved_by_the_sets_of_labels_and_has_its_thresholds_beside_the_labels(
    made: SimpleNamespace, tmp_path: Path
) -> None:
    request = ExportRequest(("onnx",), tmp_path)
    (result,) = export_formats(made.predictor, made.spec, made.reference, request, {}, Reporter())
    assert result["label_agreement"] == 1
    assert result["near_threshold"] == 0
    assert result["max_abs_diff"] < 1e-5
    known = made.reference.targets != UNKNOWN
    right = (sets_of(made.reference.probabilities) == (made.reference.targets == 1))[known].mean()
    assert result["accuracy_original"] == result["accuracy_exported"] == pytest.approx(right)
    assert result["map_original"] == pytest.approx(result["map_exported"])
    assert 0 < result["map_original"] < 1
    assert json.loads((tmp_path / "onnx" / "thresholds.json").read_text()) == list(made.spec.thresholds)
    exported = json.loads((tmp_path / "onnx" / "export.json").read_text())
    assert (exported["task"], exported["thresholds"]) == ("multilabel", list(made.spec.thresholds))


def with_outputs(monkeypatch: pytest.MonkeyPatch, probabilities: np.ndarray, thresholds: Any) -> None:
    """Make the proof of an artefact see other outputs than those of its runtime."""
    output = ParityOutput(probabilities, probabilities, LABELS, {1: 1.0, 32: 1.0}, 0.1, thresholds=thresholds)
    monkeypatch.setattr(exporter, "run_in_child", lambda *_: output)


def test_int8_may_cost_one_point_of_mean_average_precision_and_no_more(
    made: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = ExportRequest(("onnx",), tmp_path, "int8", samples=made.images[:8])
    probabilities = made.reference.probabilities
    with_outputs(monkeypatch, probabilities**2, made.spec.thresholds)  # other answers, in the same order
    (result,) = export_formats(made.predictor, made.spec, made.reference, request, {}, Reporter())
    assert result["map_exported"] == pytest.approx(result["map_original"])
    assert result["label_agreement"] < 1
    assert result["accuracy_exported"] != result["accuracy_original"]
    with_outputs(monkeypatch, np.random.default_rng(0).random(probabilities.shape), made.spec.thresholds)
    with pytest.raises(ExportRejected, match=r"onnx: map drops by 0\.\d+, and --max-drop allows 0\.01"):
        export_formats(made.predictor, made.spec, made.reference, request, {}, Reporter())


def test_an_artefact_with_other_thresholds_than_the_run_is_an_error(
    made: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for thresholds in (None, (0.3, 0.55, 0.7, 0.46)):
        with_outputs(monkeypatch, made.reference.probabilities, thresholds)
        with pytest.raises(ArtefactError, match="onnx: the artefact has other thresholds than the run"):
            export_formats(
                made.predictor, made.spec, made.reference, ExportRequest(("onnx",), tmp_path), {}, Reporter()
            )


def test_the_code_of_the_card_lists_the_labels_of_an_image(
    made: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    export_formats(made.predictor, made.spec, made.reference, ExportRequest(("onnx",), tmp_path), {}, Reporter())
    monkeypatch.chdir(tmp_path)
    expected = sets_of(made.reference.probabilities)
    assert 0 < expected.mean() < 1
    for row in range(10):
        names: dict[str, Any] = {"pixels": lambda _, row=row: made.images[row : row + 1]}
        exec(FORMATS["onnx"].code("multilabel") + SEVERAL_LABELS.replace("{format}", "onnx"), names)
        written = [label.replace("\n", "\\n") for label, has in zip(LABELS, expected[row], strict=True) if has]
        assert capsys.readouterr().out == f"{written}\n"


def test_the_code_of_the_guide_answers_as_predict_does(
    made: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (Path(__file__).parents[2] / "docs/guides/export-and-serve.md").read_text(encoding="utf-8")
    code = text.partition("**onnxruntime in a few lines**")[2].partition("```python\n")[2].partition("```")[0]
    images = [str(tmp_path / f"{index}.png") for index in range(10)]
    for path, pixels in zip(images, made.images, strict=False):
        Image.fromarray(pixels).save(path)
    probabilities = made.reference.probabilities[:10]
    several = [[name for name, has in zip(LABELS, row, strict=True) if has] for row in sets_of(probabilities)]
    limit = float(np.median(probabilities[:, 1]))
    two = [("off", "on")[int(value >= limit)] for value in probabilities[:, 1].astype(float)]
    most = [LABELS[index] for index in probabilities.argmax(axis=1)]
    expected = {"several": several, "two": two, "one": most}
    specs = {
        "several": made.spec,
        "two": ExportSpec(("off", "on"), (16, 16), threshold=limit),
        "one": ExportSpec(LABELS, (16, 16)),
    }
    for name, spec in specs.items():
        place = tmp_path / f"{name}.onnx"
        FORMATS["onnx"].write(WriteJob(made.predictor, replace(spec, background="#ffffff"), place))
        monkeypatch.setattr("sys.argv", ["code.py", str(place), *images])
        exec(code, {})
        lines = capsys.readouterr().out.splitlines()
        starts = [f"{path} {answer} {{" for path, answer in zip(images, expected[name], strict=True)]
        assert [line[: len(start)] for line, start in zip(lines, starts, strict=True)] == starts
