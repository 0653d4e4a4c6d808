"""Features of bases with the weights of other libraries, compared with those that the original libraries computed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.models.weights.foreign.made_weights import made_images, made_tensor, sample
from transfercli.models.bases import BASES
from transfercli.models.classifier import build_base
from transfercli.models.normalization import finalise
from transfercli.models.preprocessing import preprocess
from transfercli.models.tensor_names import weight_names
from transfercli.models.weights.foreign.recognition import recognise
from transfercli.models.weights.pretrained import foreign_tensors

FIXTURES = sorted((Path(__file__).parent / "fixtures").glob("*.json"))
# One of each architecture; the others differ in depth and width, and take long to build.
FAST = ("torchvision_resnet18", "torchvision_resnet50")
TOLERANCE = 1e-4  # of the largest feature


def _cases() -> list[object]:
    return [pytest.param(path, marks=() if path.stem in FAST else pytest.mark.slow, id=path.stem) for path in FIXTURES]


@pytest.mark.parametrize("path", _cases())
def test_features_equal_those_of_the_original_library(path: Path) -> None:
    fixture = json.loads(path.read_text())
    shapes = {name: tuple(shape) for name, shape in fixture["shapes"].items()}
    tensors = {name: made_tensor(name, shape) for name, shape in shapes.items()}
    recognised = recognise(shapes)
    assert recognised is not None
    name = fixture["base"]
    assert name in recognised.bases
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
        difference = np.abs(np.subtract(features, expected)).max() / expected[-1]
        assert difference < TOLERANCE, f"{size}: {difference:.1e} of the largest feature"
