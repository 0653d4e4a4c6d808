"""Bases of vision transformers."""

from __future__ import annotations

from typing import Any

from transfercli.models.base import Base


def _row(name: str, size: int, preprocessing: str, parameters: int, family: str, source: str, **settings: Any) -> Base:
    return Base(
        "transfercli.models.networks.vision_transformer:vision_transformer",
        size,
        preprocessing,
        r"^(block\d+)",
        parameters,
        family,
        source=source,
        settings={"name": name, **settings},
        crop=0.9,
        interpolation="bicubic",
        prefix_tokens=1 + settings.get("registers", 0),
        patch=settings["patch"],
        pooling="token",
    )


ROWS: dict[str, Base] = {
    "vit_small_patch16": _row(
        "vit_small_patch16",
        224,
        "symmetric",
        21_665_280,
        "ViT",
        "Steiner et al. 2022",
        patch=16,
        width=384,
        depth=12,
        heads=6,
    ),
    "dinov2_small": _row(
        "dinov2_small",
        518,
        "torch",
        22_046_592,
        "DINOv2",
        "Oquab et al. 2024",
        patch=14,
        width=384,
        depth=12,
        heads=6,
    ),
}
