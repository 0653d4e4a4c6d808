"""The output `unknown` of an artefact: the out-of-distribution score, beside probabilities, the first output."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.export.any_network import ANY_NETWORK
from transfercli.export.formats.registry import FORMATS
from transfercli.export.spec import WriteJob
from transfercli.export.writing import write
from transfercli.models.inference_model import without_score
from transfercli.models.unknown.layers import score_of
from transfercli.reporting import Reporter
from transfercli.transfer.unknown.fit import DEFAULT, Known, fit_score, fit_space

SCORED = [name for name, row in FORMATS.items() if row.scored]


@pytest.fixture(scope="module")
def scored(examples: SimpleNamespace) -> Any:
    """A small network with both outputs; its features are 70 pooled channels, more than the components of the score."""
    import keras

    keras.utils.set_random_seed(0)
    image = keras.Input((32, 32, 3), dtype="uint8", name="image")
    maps = keras.layers.Conv2D(70, 3, 4, activation="relu")(keras.layers.Rescaling(1 / 255)(image))
    features = keras.layers.GlobalAveragePooling2D()(maps)
    logits = keras.layers.Dense(10)(features)
    values = keras.Model(image, features).predict_on_batch(examples.images)
    validation = Known(values[1::2], np.zeros(20), examples.targets[1::2])
    score = fit_score(DEFAULT, fit_space(values[::2], examples.targets[::2], 0), validation)
    outputs = [keras.layers.Softmax()(logits), score_of(score, features, logits)]
    unit = score.threshold - np.median(score.scores(validation.features, validation.energy))
    return SimpleNamespace(model=keras.Model(image, outputs, name="predictor"), score=score, unit=unit)


@pytest.mark.parametrize("name", SCORED)
def test_the_score_comes_out_of_the_artefact(
    name: str, scored: Any, spec: Any, examples: SimpleNamespace, tmp_path: Any
) -> None:
    own = replace(spec, unknown={"score": scored.score.name, "threshold": scored.score.threshold})
    path = tmp_path / (FORMATS[name].entry or name)
    write(name, WriteJob(scored.model, own, path), Reporter())
    artefact = FORMATS[name].read(path)
    assert artefact.spec == own
    expected = scored.model.predict_on_batch(examples.images)
    for count in (1, 40):
        found = artefact.from_tensors(examples.images[:count])
        assert found.shape == (count, own.columns)
        np.testing.assert_allclose(found[:, :-1], expected[0][:count], atol=1e-5)
        np.testing.assert_allclose(found[:, -1], expected[1][:count], atol=2e-3 * scored.unit)
    if name == "litert":
        from ai_edge_litert.interpreter import Interpreter

        first, second = Interpreter(str(path)).get_output_details()
        assert (len(first["shape"]), len(second["shape"])) == (2, 1)
    if name == "openvino":
        import openvino

        assert next(output.get_any_name() for output in openvino.Core().read_model(path).outputs) == "probabilities"


@pytest.mark.parametrize("name", [name for name in ANY_NETWORK if name not in SCORED])
def test_a_keras_model_keeps_its_single_output(name: str, scored: Any, spec: Any, examples: Any, tmp_path: Any) -> None:
    path = tmp_path / FORMATS[name].entry
    FORMATS[name].write(WriteJob(without_score(scored.model), spec, path))
    found = FORMATS[name].read(path).from_tensors(examples.images)
    np.testing.assert_allclose(found, scored.model.predict_on_batch(examples.images)[0], atol=1e-6)


def test_the_model_that_another_backend_hands_over_has_both_outputs(
    scored: Any, spec: Any, examples: Any, tmp_path: Any
) -> None:
    """With Keras on JAX, a child process on TensorFlow rebuilds the model from a safetensors file."""
    from transfercli.export.formats.safetensors import rebuild, write_safetensors

    write_safetensors(WriteJob(scored.model, spec, tmp_path / "model.safetensors"))
    model, _ = rebuild(tmp_path / "model.safetensors")
    for found, expected in zip(
        model.predict_on_batch(examples.images), scored.model.predict_on_batch(examples.images), strict=True
    ):
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_int8_artefacts_have_no_score() -> None:
    assert FORMATS["litert"].carries_score("float16")
    assert not FORMATS["litert"].carries_score("int8")
    assert not FORMATS["keras"].carries_score("none")
