"""Every base goes through every format, and so do the layers that no converter reads as they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.export.any_network import ANY_NETWORK
from transfercli.config.schema import HeadConfig
from transfercli.export.formats.registry import FORMATS, PARITY
from transfercli.export.spec import ExportSpec, WriteJob
from transfercli.export.verify.sandbox import read_sandboxed
from transfercli.models.architecture import Architecture
from transfercli.models.bases import BASES

LIGHT = ("safetensors", "keras")


def written_and_read(name: str, predictor, images: np.ndarray, folder: Path) -> np.ndarray:
    """Return the probabilities of the artefact; one that Keras builds is read in a process of its own."""
    path = folder / (FORMATS[name].entry or name)
    FORMATS[name].write(WriteJob(predictor, ExportSpec(("a", "b"), images.shape[1:3]), path))
    return (read_sandboxed(name, path) if name in LIGHT else FORMATS[name].read(path)).from_tensors(images)


def adapt(normalization, mean=(0.4, 0.5, 0.6), variance=(0.04, 0.05, 0.06)) -> None:
    normalization.adapt_mean.assign(mean)
    normalization.adapt_variance.assign(variance)
    normalization.finalize_state()


def pictures(side: int) -> np.ndarray:
    """Return four images of noise, from a dark one to a bright one."""
    noise = np.random.default_rng(0).integers(0, 256, (4, side, side, 3))
    return (noise * np.linspace(0.1, 1, 4)[:, None, None, None]).astype("uint8")


def stretched(classifier, images: np.ndarray) -> np.ndarray:
    """Stretch what a random network makes of images over the probabilities, and return these: it says 0.5 to all."""
    last = classifier.head.get_layer("logits")
    logits = classifier.model.predict_on_batch(images)
    scale = 1 / max(1e-6, float(np.abs(logits - logits.mean(0)).max()))
    last.kernel.assign(last.kernel * scale)
    last.bias.assign(-scale * logits.mean(0))
    return classifier.predictor.predict_on_batch(images)


@pytest.mark.slow
@pytest.mark.parametrize("base", BASES)
def test_a_base_goes_through_every_format(base: str, tmp_path: Path) -> None:
    import keras

    from transfercli.models.classifier import build_classifier
    from transfercli.models.inference_model import build_inference_model

    side = BASES[base].minimum
    classifier = build_classifier(Architecture(base, (side, side), 3, HeadConfig(dropout=0.2), ("a", "b")))
    for layer in classifier.base.layers:
        if isinstance(layer, keras.layers.Normalization) and layer.weights:
            adapt(layer)
    images = pictures(side)
    expected = stretched(classifier, images)
    predictor = build_inference_model(classifier)
    for name in ANY_NETWORK:
        found = written_and_read(name, predictor, images, tmp_path)
        np.testing.assert_allclose(found, expected, atol=PARITY, err_msg=name)


@pytest.mark.parametrize("name", ["onnx", "safetensors"])
def test_normalization_grouped_convolutions_and_gelu_go_through_a_format(name: str, tmp_path: Path) -> None:
    import keras
    from keras import layers

    from transfercli.models.classifier import build_classifier
    from transfercli.models.inference_model import build_inference_model

    image = keras.Input((18, 18, 3), name="image")
    normalization = layers.Normalization(name="normalization")
    x = layers.Conv2D(8, 3, name="conv")(normalization(layers.Rescaling(1 / 255)(image)))
    x = layers.Conv2D(16, 3, groups=8, name="grouped")(layers.Activation("gelu")(x))
    x = layers.Conv2D(32, 3, groups=4, name="grouped_more")(x)
    architecture = Architecture("small_cnn", (18, 18), 3, HeadConfig(), ("a", "b"))
    classifier = build_classifier(architecture, keras.Model(image, x))
    adapt(normalization)
    images = pictures(18)
    expected = stretched(classifier, images)
    found = written_and_read(name, build_inference_model(classifier), images, tmp_path)
    np.testing.assert_allclose(found, expected, atol=PARITY)


def small_network():
    """The layers of the bases whose weights have no stable path."""
    import keras
    from keras.src.applications.convnext import LayerScale

    image = keras.Input((8, 8, 3), dtype="uint8", name="image")
    x = keras.layers.Dropout(0.5)(keras.layers.Rescaling(1 / 255)(image))
    x = keras.Sequential([keras.layers.Conv2D(4, 3, name="conv")], name="stem")(x)
    x = LayerScale(0.7, 4, name="scale")(x)
    x = keras.layers.Dropout(0.5)(keras.layers.GlobalAveragePooling2D()(x))
    return keras.Model(image, keras.layers.Dense(2, activation="softmax", name="logits")(x), name="predictor")


@pytest.mark.parametrize("name", LIGHT)
def test_weights_with_numbered_paths_survive_a_format(name: str, tmp_path: Path) -> None:
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
        FORMATS["safetensors"].write(WriteJob(small_network(), ExportSpec(("a", "b"), (8, 8)), path))
        names.append(sorted(load_file(path)))
    generators = ["seed_generator/seed_generator_state", "seed_generator_1/seed_generator_state"]
    weights = ["conv/bias", "conv/kernel", "logits/bias", "logits/kernel", "scale/variable"]
    assert names[0] == names[1] == sorted([*weights, *generators])
