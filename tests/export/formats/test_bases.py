"""Every base goes through the formats that need no converter."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from transfercli.config.schema import HeadConfig
from transfercli.export.formats.registry import FORMATS
from transfercli.export.spec import ExportSpec, WriteJob
from transfercli.export.verify.sandbox import read_sandboxed
from transfercli.models.bases import BASES

LIGHT = ("safetensors", "keras")
SPEC = ExportSpec(("a", "b"), (8, 8), "stretch", 1.0, 0.0, {})


def written_and_read(name: str, predictor, images: np.ndarray, folder: Path) -> np.ndarray:
    """Return the probabilities of the artefact, read in a process of its own."""
    path = folder / FORMATS[name].entry
    FORMATS[name].write(WriteJob(predictor, SPEC, path))
    return read_sandboxed(name, path).from_tensors(images)


@pytest.mark.slow
@pytest.mark.parametrize("base", BASES)
def test_a_base_goes_through_every_light_format(base: str, tmp_path: Path) -> None:
    import keras

    from transfercli.models.architecture import Architecture
    from transfercli.models.classifier import build_classifier
    from transfercli.models.normalization import finalise

    side = BASES[base].minimum
    classifier = build_classifier(Architecture(base, (side, side), 3, HeadConfig(dropout=0.2), ("a", "b")))
    for layer in classifier.base.layers:
        if isinstance(layer, keras.layers.Normalization) and layer.weights:
            layer.adapt_mean.assign([0.4, 0.5, 0.6])
            layer.adapt_variance.assign([0.04, 0.05, 0.06])
    finalise(classifier.base)
    kernel = classifier.head.get_layer("logits").kernel
    images = np.random.default_rng(0).integers(0, 256, (4, side, side, 3)).astype("uint8")
    # A random network says 0.5 to everything: stretch what it makes of the images over the probabilities.
    features = classifier.head.get_layer("pool")(classifier.base(images.astype("float32")))
    kernel.assign(kernel / max(1e-6, float(np.abs(np.asarray(features) @ np.asarray(kernel)).max())))
    expected = classifier.predictor.predict_on_batch(images)
    for name in LIGHT:
        found = written_and_read(name, classifier.predictor, images, tmp_path)
        np.testing.assert_allclose(found, expected, atol=1e-5, err_msg=name)


def small_network():
    """The layers of the bases whose weights have no stable path, or are not what the layer computes with."""
    import keras
    from keras.src.applications.convnext import LayerScale

    from transfercli.models.normalization import finalise

    image = keras.Input((8, 8, 3), dtype="uint8", name="image")
    normalization = keras.layers.Normalization(name="normalization")
    x = keras.layers.Dropout(0.5)(normalization(keras.layers.Rescaling(1 / 255)(image)))
    x = keras.Sequential([keras.layers.Conv2D(4, 3, name="conv")], name="stem")(x)
    x = LayerScale(0.7, 4, name="scale")(x)
    x = keras.layers.Dropout(0.5)(keras.layers.GlobalAveragePooling2D()(x))
    model = keras.Model(image, keras.layers.Dense(2, activation="softmax", name="logits")(x), name="predictor")
    normalization.adapt_mean.assign([0.4, 0.5, 0.6])
    normalization.adapt_variance.assign([0.04, 0.05, 0.06])
    finalise(model)
    return model


@pytest.mark.parametrize("name", LIGHT)
def test_statistics_and_paths_survive_a_format(name: str, tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3)).astype("uint8")
    small_network()  # so that the numbers of the process are not those of a fresh one
    model = small_network()
    expected = model.predict_on_batch(images)
    np.testing.assert_allclose(written_and_read(name, model, images, tmp_path), expected, atol=1e-6)


def test_names_of_tensors_do_not_depend_on_what_was_built_before(tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    names = []
    for number in range(2):
        path = tmp_path / str(number) / "model.safetensors"
        path.parent.mkdir()
        FORMATS["safetensors"].write(WriteJob(small_network(), SPEC, path))
        names.append(sorted(load_file(path)))
    generators = ["seed_generator/seed_generator_state", "seed_generator_1/seed_generator_state"]
    weights = ["conv/bias", "conv/kernel", "logits/bias", "logits/kernel", "scale/variable"]
    assert names[0] == names[1] == sorted([*weights, *generators])
