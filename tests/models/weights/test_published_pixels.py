"""Pixels of a published network, compared with those of the base."""

from __future__ import annotations

from typing import Any

import pytest

from transfercli.models.weights.published_pixels import contradicts

IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
HALF = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}
CLIP = {"mean": [0.48145466, 0.4578275, 0.40821073], "std": [0.26862954, 0.26130258, 0.27577711]}


@pytest.mark.parametrize(
    "base, published, agrees",
    [
        ("resnet18", IMAGENET, True),
        ("resnet18", HALF, False),
        ("resnet18", CLIP, False),
        ("vit_small_patch16", HALF, True),
        ("vit_small_patch16", IMAGENET, False),
        ("clip_base_patch32", CLIP, True),
        ("clip_base_patch32", IMAGENET, False),
        ("efficientnetb0", HALF, True),  # its layers prepare the pixels: the row does not say
    ],
)
def test_other_pixels_are_named(base: str, published: dict[str, Any], agrees: bool) -> None:
    problem = contradicts(base, {"pretrained_cfg": published})
    assert problem is None if agrees else problem.startswith(f"mean {published['mean']}")


@pytest.mark.parametrize(
    "settings", [{}, {"pretrained_cfg": None}, {"pretrained_cfg": {"mean": 0.5, "std": [0.5]}}, {"pretrained_cfg": {}}]
)
def test_a_config_that_does_not_say_contradicts_no_base(settings: dict[str, Any]) -> None:
    assert contradicts("resnet18", settings) is None
