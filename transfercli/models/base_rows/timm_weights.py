"""Fields of a row on weights that timm publishes."""

from __future__ import annotations

from typing import Any

from transfercli.models.published_weights import DEFAULT_SIZE, PublishedRepository

# results/results-imagenet.csv of github.com/huggingface/pytorch-image-models, rounded to three digits.
TIMM_RESULTS = "timm's results-imagenet.csv"


def timm_weights(
    model: str,
    top1: float,
    *,
    crop: float = 0.875,
    interpolation: str = "bilinear",
    measured_at: int = DEFAULT_SIZE,
    licence: str = "Apache-2.0",
) -> dict[str, Any]:
    """Return the fields of `Base` on the weights of a repository of timm.

    model: its name after `timm/`. top1: accuracy on ImageNet, on images of `measured_at` pixels.
    crop, interpolation: as timm's configuration of these weights has them, for images of 224 pixels.
    licence: as the repository's card names it.
    """
    source = TIMM_RESULTS if measured_at == DEFAULT_SIZE else f"{TIMM_RESULTS}, at {measured_at} pixels"
    return {
        "repository": PublishedRepository(f"timm/{model}", top1, source, licence),
        "crop": crop,
        "interpolation": interpolation,
        "licence": f"ImageNet weights of timm/{model} ({licence})",
    }
