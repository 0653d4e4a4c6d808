"""Features of bases with the weights of other libraries, compared with those that the original libraries computed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.models.weights.foreign.comparison import relative_errors

FIXTURES = sorted((Path(__file__).parent / "fixtures").glob("*.json"))
# One of each architecture; the others differ in depth and width, and take long to build.
FAST = (
    "torchvision_resnet18",
    "torchvision_resnet50",
    "torchvision_vgg11",
    "sequence_efficientnet_lite0",
    "timm_vit_tiny",
)
TOLERANCE = 1e-4  # of the largest feature


def _cases() -> list[object]:
    return [pytest.param(path, marks=() if path.stem in FAST else pytest.mark.slow, id=path.stem) for path in FIXTURES]


@pytest.mark.parametrize("path", _cases())
def test_features_equal_those_of_the_original_library(path: Path) -> None:
    for size, error in relative_errors(json.loads(path.read_text())).items():
        assert error < TOLERANCE, f"{size}: {error:.1e} of the largest feature"
