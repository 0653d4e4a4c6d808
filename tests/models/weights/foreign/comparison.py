"""Features of a base with the made weights of another library, against those that the library itself computed."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.models.weights.foreign.made_weights import made_images, made_tensor, sample
from transfercli.models.bases import BASES
from transfercli.models.classifier import build_base
from transfercli.models.normalization import finalise
from transfercli.models.preprocessing import preprocess
from transfercli.models.tensor_names import weight_names
from transfercli.models.weights.foreign.recognition import recognise
from transfercli.models.weights.pretrained import foreign_tensors


def made_file(fixture: dict[str, Any]) -> dict[str, np.ndarray]:
    """Return the tensors of a fixture by the names in its library."""
    return {name: made_tensor(name, tuple(shape)) for name, shape in fixture["shapes"].items()}


def relative_errors(fixture: dict[str, Any]) -> dict[str, float]:
    """Return the largest difference of features at each image size `HxW`, as part of the largest feature."""
    tensors = made_file(fixture)
    recognised = recognise({name: value.shape for name, value in tensors.items()})
    assert recognised is not None
    name = fixture["base"]
    assert name in recognised.bases
    errors = {}
    for size, expected in fixture["features"].items():
        height, width = map(int, size.split("x"))
        base = build_base(name, (height, width), 3)
        mapped = foreign_tensors(tensors, recognised, name, base)
        names = weight_names("base", base)
        for layer in base.layers:
            for variable in layer.weights:
                variable.assign(mapped.tensors[names[id(variable)]])
        finalise(base)
        pixels = preprocess(made_images(height, width).astype("float32"), BASES[name].preprocessing, 3)
        features = sample(np.asarray(base(pixels, training=False)))
        errors[size] = float(np.abs(np.subtract(features, expected)).max() / expected[-1])
    return errors
