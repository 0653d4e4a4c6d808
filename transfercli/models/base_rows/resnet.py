"""Bases of PyTorch's ResNets: v1.5 bottlenecks, ResNeXts and wide ResNets."""

from __future__ import annotations

from typing import Any

from transfercli.models.base import Base
from transfercli.models.base_rows.timm_weights import timm_weights

_SMALL, _MIDDLE, _LARGE, _LARGEST = (2, 2, 2, 2), (3, 4, 6, 3), (3, 4, 23, 3), (3, 8, 36, 3)  # blocks of each stage
_BLOCKS = {"18": _SMALL, "34": _MIDDLE, "50": _MIDDLE, "101": _LARGE, "152": _LARGEST}
_HE, _XIE = "He et al. 2016", "Xie et al. 2017"
_ZAGORUYKO = "Zagoruyko & Komodakis 2016"


def _row(name: str, depth: str, parameters: int, weights: dict[str, Any], source: str = _HE, **settings: Any) -> Base:
    """Return a row. depth: the number in the network's published name; settings: of its builder."""
    block = "basic" if depth in ("18", "34") else "bottleneck"
    return Base(
        "transfercli.models.networks.resnet:resnet",
        224,
        "torch",
        r"^(conv\d)",
        parameters,
        "ResNet",
        source=source,
        settings={"name": name, "blocks": _BLOCKS[depth], "block": block, **settings},
        **weights,
    )


# The weights of "ResNet strikes back" (Wightman et al. 2021).
_A1: dict[str, Any] = {"crop": 0.95, "interpolation": "bicubic", "measured_at": 288}
# torchvision's second weights, trained with its newer recipe.
_TV2: dict[str, Any] = {"crop": 0.965, "licence": "BSD-3-Clause"}

RESNET18 = {"resnet18": _row("resnet18", "18", 11_186_112, timm_weights("resnet18.a1_in1k", 0.732, **_A1))}

ROWS: dict[str, Base] = {
    "resnet34": _row("resnet34", "34", 21_301_696, timm_weights("resnet34.a1_in1k", 0.779, **_A1)),
    "resnet50_torch": _row("resnet50_torch", "50", 23_561_152, timm_weights("resnet50.a1_in1k", 0.812, **_A1)),
    "resnet101_torch": _row("resnet101_torch", "101", 42_605_504, timm_weights("resnet101.a1_in1k", 0.823, **_A1)),
    "resnet152_torch": _row("resnet152_torch", "152", 58_295_232, timm_weights("resnet152.a1_in1k", 0.827, **_A1)),
    "resnext50": _row(
        "resnext50",
        "50",
        23_048_128,
        timm_weights("resnext50_32x4d.a1_in1k", 0.815, **_A1),
        _XIE,
        groups=32,
        group_width=4,
    ),
    "resnext101": _row(
        "resnext101",
        "101",
        86_945_216,
        timm_weights("resnext101_32x8d.tv2_in1k", 0.828, **_TV2),
        _XIE,
        groups=32,
        group_width=8,
    ),
    "resnext101_64x4d": _row(
        "resnext101_64x4d",
        "101",
        81_609_152,
        timm_weights("resnext101_64x4d.c1_in1k", 0.832, **_A1),
        _XIE,
        groups=64,
        group_width=4,
    ),
    "wide_resnet50": _row(
        "wide_resnet50",
        "50",
        66_902_464,
        timm_weights("wide_resnet50_2.racm_in1k", 0.823, crop=0.875, interpolation="bicubic", measured_at=288),
        _ZAGORUYKO,
        group_width=128,
    ),
    "wide_resnet101": _row(
        "wide_resnet101",
        "101",
        124_975_552,
        timm_weights("wide_resnet101_2.tv2_in1k", 0.825, **_TV2),
        _ZAGORUYKO,
        group_width=128,
    ),
}
