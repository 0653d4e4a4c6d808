"""Multiply-adds of the bases."""

from __future__ import annotations

import pytest

from benchmarks.base_costs import multiply_adds
from transfercli.models.base_costs import MULTIPLY_ADDS
from transfercli.models.bases import BASES


def test_every_base_has_its_multiply_adds() -> None:
    assert set(MULTIPLY_ADDS) == set(BASES), "run python -m benchmarks.base_costs"
    assert min(MULTIPLY_ADDS.values()) > 0


def test_figures_are_those_that_others_publish() -> None:
    """Numbers of the papers: 3.8 and 4.1 billion (ResNet-50, v1.5), 300 million (MobileNetV2), 4.6 (ViT-S/16)."""
    published = {"resnet50": 3.86e9, "resnet50_torch": 4.09e9, "mobilenetv2": 0.3e9, "vit_small_patch16": 4.6e9}
    assert {name: MULTIPLY_ADDS[name] for name in published} == pytest.approx(published, rel=0.01)


@pytest.mark.parametrize("name", ["small_cnn", *(pytest.param(name, marks=pytest.mark.slow) for name in BASES)])
def test_figures_are_those_of_the_networks(name: str) -> None:
    assert multiply_adds(name) == MULTIPLY_ADDS[name]
