"""Bases of MobileNets that keras.applications lacks: V2 and V3 as PyTorch's libraries build them, and V4."""

from __future__ import annotations

from typing import Any

from transfercli.models.base import Base
from transfercli.models.networks import mobile_blocks
from transfercli.models.networks.mobile_blocks import Stages
from transfercli.models.published_weights import TIMM_RESULTS, PublishedRepository

BUILDER = "transfercli.models.networks.mobile:mobile_network"
STAGES = r"^(block\d+)"
BSD = "ImageNet weights of torchvision (BSD-3-Clause)"
APACHE = "ImageNet weights of timm (Apache-2.0)"
HARD = {"activation": "hard_silu", "gate": "hard_sigmoid", "stem": 16}


def _row(
    name: str, stages: Stages, parameters: int, family: str, source: str, settings: dict[str, Any], **fields: Any
) -> dict[str, Base]:
    row = Base(
        BUILDER,
        fields.pop("size", 224),
        "torch",
        STAGES,
        parameters,
        family,
        source=source,
        settings={"name": name, "stages": stages, **settings},
        **{"crop": 0.875, **fields},
    )
    return {name: row}


def _timm(name: str, top1: float, source: str = TIMM_RESULTS) -> PublishedRepository:
    return PublishedRepository(f"timm/{name}", top1, source, "Apache-2.0")


def _v3(size: str, suffix: str, parameters: int, epsilon: float, **fields: Any) -> dict[str, Base]:
    stages = mobile_blocks.mobilenet_v3_large() if size == "large" else mobile_blocks.mobilenet_v3_small()
    settings = {**HARD, "top": 960 if size == "large" else 576, "epsilon": epsilon}
    name = f"mobilenetv3{size}{suffix}"
    return _row(name, stages, parameters, "MobileNetV3", fields.pop("source"), settings, **fields)


def _v4(size: str, parameters: int, stem: int, side: int, weights: str, top1: float) -> dict[str, Base]:
    name = f"mobilenetv4_conv_{size}"
    stages = {
        "small": mobile_blocks.mobilenet_v4_small,
        "medium": mobile_blocks.mobilenet_v4_medium,
        "large": mobile_blocks.mobilenet_v4_large,
    }[size]
    return _row(
        name,
        stages(),
        parameters,
        "MobileNetV4",
        "Qin et al. 2024",
        {"stem": stem, "activation": "relu", "top": 960},
        size=side,
        crop=0.875 if size == "small" else 0.95,
        interpolation="bicubic",
        licence=APACHE,
        repository=_timm(f"{name}.{weights}", top1, "model cards of timm's MobileNetV4"),
    )


ROWS: dict[str, Base] = {
    **_row(
        "mobilenetv2_torch",
        mobile_blocks.mobilenet_v2(),
        2_257_984,
        "MobileNetV2",
        "torchvision and timm",
        {"stem": 32, "activation": "relu6", "top": 1280},
        licence=APACHE,
        repository=_timm("mobilenetv2_100.ra_in1k", 0.72976),
    ),
    **_v3("small", "_torch", 939_120, 1e-3, source="torchvision", licence=BSD),
    **_v3("large", "_torch", 2_996_352, 1e-3, source="torchvision", licence=BSD),
    **_v3(
        "small",
        "_timm",
        939_120,
        1e-5,
        source="timm",
        licence=APACHE,
        interpolation="bicubic",
        repository=_timm("mobilenetv3_small_100.lamb_in1k", 0.67656),
    ),
    **_v3(
        "large",
        "_timm",
        2_996_352,
        1e-5,
        source="timm",
        licence=APACHE,
        interpolation="bicubic",
        repository=_timm("mobilenetv3_large_100.ra_in1k", 0.75766),
    ),
    **_v4("small", 1_284_192, 32, 224, "e2400_r224_in1k", 0.7376),
    **_v4("medium", 7_268_496, 32, 256, "e500_r256_in1k", 0.79928),
    **_v4("large", 30_225_496, 24, 384, "e600_r384_in1k", 0.82952),
}
