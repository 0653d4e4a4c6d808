"""Bases of MobileNets that keras.applications lacks: V2 and V3 as PyTorch's libraries build them, and V4."""

from __future__ import annotations

from typing import Any

from transfercli.models.base import Base
from transfercli.models.networks import mobile_blocks
from transfercli.models.networks.mobile_blocks import MobileNetwork
from transfercli.models.published_weights import TIMM_RESULTS, PublishedRepository

BUILDER = "transfercli.models.networks.mobile:mobile_network"
STAGES = r"^(block\d+)"
BSD = "ImageNet weights of torchvision (BSD-3-Clause)"
APACHE = "ImageNet weights of timm (Apache-2.0)"


def _row(
    name: str, network: MobileNetwork, parameters: int, family: str, source: str, **fields: Any
) -> dict[str, Base]:
    settings = {"name": name, "network": network}
    size, crop = fields.pop("size", 224), fields.pop("crop", 0.875)
    row = Base(
        BUILDER, size, "torch", STAGES, parameters, family, source=source, settings=settings, crop=crop, **fields
    )
    return {name: row}


def _timm(name: str, top1: float, source: str = TIMM_RESULTS) -> PublishedRepository:
    return PublishedRepository(f"timm/{name}", top1, source, "Apache-2.0")


def _v3(size: str, suffix: str, parameters: int, epsilon: float, **fields: Any) -> dict[str, Base]:
    stages = mobile_blocks.mobilenet_v3_large() if size == "large" else mobile_blocks.mobilenet_v3_small()
    top = 960 if size == "large" else 576
    network = MobileNetwork(16, stages, "hard_silu", top, epsilon=epsilon, gate="hard_sigmoid")
    return _row(f"mobilenetv3{size}{suffix}", network, parameters, "MobileNetV3", fields.pop("source"), **fields)


def _v4(size: str, parameters: int, stem: int, side: int, weights: str, top1: float) -> dict[str, Base]:
    name = f"mobilenetv4_conv_{size}"
    stages = {
        "small": mobile_blocks.mobilenet_v4_small,
        "medium": mobile_blocks.mobilenet_v4_medium,
        "large": mobile_blocks.mobilenet_v4_large,
    }[size]
    return _row(
        name,
        MobileNetwork(stem, stages(), "relu", 960),
        parameters,
        "MobileNetV4",
        "Qin et al. 2024",
        size=side,
        crop=0.875 if size == "small" else 0.95,
        interpolation="bicubic",
        licence=APACHE,
        repository=_timm(f"{name}.{weights}", top1, "model cards of timm's MobileNetV4"),
    )


ROWS: dict[str, Base] = {
    **_row(
        "mobilenetv2_torch",
        MobileNetwork(32, mobile_blocks.mobilenet_v2(), "relu6", 1280),
        2_257_984,
        "MobileNetV2",
        "torchvision and timm",
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
