"""Every base with ImageNet weights computes what keras.applications computes from the same file."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from transfercli.models.bases import BASES

QUICK = ("vgg16", "efficientnetb0")
PUBLISHED = [
    pytest.param(name, marks=[pytest.mark.slow] * (name not in QUICK)) for name, row in BASES.items() if row.published
]


def keras_builder(name: str) -> Any:
    module, function = BASES[name].builder.split(":")
    return getattr(import_module(module), function)


def patches(count: int, side: int, seed: int) -> np.ndarray:
    """Images uint8 [count, side, side, 3] of 4 x 4 patches: noise of pixels would look the same to a deep layer."""
    colours = np.random.default_rng(seed).integers(0, 256, (count, 4, 4, 3)).astype("uint8")
    length = -(-side // 4)
    return colours.repeat(length, axis=1).repeat(length, axis=2)[:, :side, :side]


# Of the scale and the shift of normalisation, by whether the network has BatchNorm.
RANGES = {True: {"gamma": (0.3, 0.6), "beta": (1.5, 2.5)}, False: {"gamma": (0.5, 1.5), "beta": (-0.5, 0.5)}}


def randomise(model: Any, seed: int = 0) -> None:
    """Give every weight a random value that is not that of a fresh network, statistics and scales included.

    BatchNorm gets roughly the statistics of random images: with others a deep network's output would not depend on its
    input, and show no difference. Its scale is small beside its shift, which keeps activations near their linear part:
    otherwise each layer of a random network enlarges a difference, and rounding would change everything.
    """
    import keras

    random = np.random.default_rng(seed)
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    for variable in model.weights:
        shape, kind = tuple(variable.shape), variable.name
        if kind == "count":
            variable.assign(np.full(shape, 7))
        elif "kernel" in kind:
            fan_in = int(np.prod(shape[:2] if shape[-1] == 1 else shape[:-1]))  # 1: of a depthwise convolution
            variable.assign(random.normal(0, np.sqrt(2 / fan_in), shape).astype("float32"))
        elif kind == "bias":
            variable.assign(random.normal(0, 0.1, shape).astype("float32"))
        elif kind in ("gamma", "beta"):
            low, high = RANGES[bool(norms)][kind]
            variable.assign(random.uniform(low, high, shape).astype("float32"))
        else:  # variances, a layer's scale, the mean of normalisation
            variable.assign(random.uniform(0.3, 1.2, shape).astype("float32"))
    momenta = [layer.momentum for layer in norms]
    for layer in norms:
        layer.momentum = 0.0
    model(patches(8, model.input.shape[1], seed).astype("float32"), training=True)
    for layer, momentum in zip(norms, momenta, strict=True):
        layer.momentum = momentum
        for variable in (layer.moving_mean, layer.moving_variance):
            factor = random.uniform(0.9, 1.1, variable.shape).astype("float32")
            variable.assign(np.asarray(variable) * factor)


def scramble(model: Any) -> None:
    """Set every weight to 1, so that no value of before is left."""
    for variable in model.weights:
        variable.assign(np.ones(variable.shape))


def write_notop(model: Any, path: Path) -> Path:
    """Write the weights in the format of the `_notop.h5` files of keras.applications.

    Layers without a name of their own have other numbers there than here: the files were made by other programs.
    """
    import h5py
    from keras.src.legacy.saving import legacy_h5_format

    own = {layer: layer.name for layer in model.layers}
    try:
        for layer, name in own.items():
            kind, _, number = name.rpartition("_")
            if kind in ("conv2d", "batch_normalization", "layer_normalization", "normalization"):
                layer._name = f"{kind}_{int(number) + 1}"
            elif name in ("conv2d", "batch_normalization", "layer_normalization", "normalization"):
                layer._name = f"{name}_1"
        with h5py.File(path, "w") as file:
            legacy_h5_format.save_weights_to_hdf5_group(file, model)
    finally:
        for layer, name in own.items():
            layer._name = name
    return path


def difference(actual: Any, expected: Any) -> float:
    """The relative difference, in the Euclidean norm."""
    expected = np.asarray(expected, "float64")
    return float(np.linalg.norm(np.asarray(actual, "float64") - expected) / np.linalg.norm(expected))


@pytest.mark.parametrize("name", PUBLISHED)
def test_features_equal_those_of_keras_applications_with_the_same_file(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import keras
    from keras.src.utils import file_utils

    from transfercli.config.schema import FileWeights, HeadConfig
    from transfercli.models.architecture import Architecture
    from transfercli.models.classifier import build_classifier
    from transfercli.models.preprocessing import preprocess
    from transfercli.models.weights.pretrained import file_tensors, imagenet_tensors
    from transfercli.reporting import Reporter
    from transfercli.transfer.transplant import transplant

    row, side = BASES[name], BASES[name].minimum
    pixels = patches(2, side, seed=1)
    classifier = build_classifier(Architecture(name, (side, side), 3, HeadConfig(), ("a", "b")))
    image = keras.Input((side, side, 3), dtype="uint8")
    features = keras.Model(image, classifier.base(preprocess(image, row.preprocessing, 3)))
    randomise(classifier.base)
    file = write_notop(classifier.base, tmp_path / f"{name}_notop.h5")
    monkeypatch.setattr(file_utils, "get_file", lambda *_, **__: str(file))

    builder = keras_builder(name)
    # Keras loads NASNet's ImageNet weights at their own size only, and a file of them at every size.
    weights = "imagenet" if row.any_size_imagenet else str(file)
    published = builder(weights=weights, include_top=False, input_shape=(side, side, 3))
    prepared = import_module(builder.__module__).preprocess_input(pixels.astype("float32"))
    expected = published(prepared)
    assert difference(published(prepared[:, ::-1, :, ::-1]), expected) > 1e-3  # it depends on the pixels

    for source in ("imagenet", "path"):
        scramble(classifier.base)
        if source == "imagenet":
            report = transplant(classifier, imagenet_tensors(name, (side, side), Reporter()))
        else:
            tensors = file_tensors(FileWeights(path=str(file)), name, classifier.base, Reporter()).tensors
            report = transplant(classifier, tensors)
        assert not report.fresh_layers, source
        assert not report.count("unused"), source
        assert difference(features(pixels), expected) < 1e-5, source
