"""Bases of EfficientNets that keras.applications lacks: EfficientNet-Lite, and B0 to B7 of PyTorch's libraries.

A name with `_torch` or `_timm` is a network that no row of keras.applications is: padding, epsilon or pixels differ.
"""

from __future__ import annotations

from typing import Any

from transfercli.models.base import Base
from transfercli.models.networks.mobile_blocks import MobileNetwork, efficientnet, rounded
from transfercli.models.published_weights import TIMM_RESULTS, PublishedRepository

BUILDER = "transfercli.models.networks.mobile:mobile_network"
STAGES = r"^(block\d+)"
APACHE = "Apache-2.0"
TENSORFLOW: dict[str, Any] = {"padding": "tensorflow", "epsilon": 1e-3}


def _published(name: str, top1: float) -> PublishedRepository:
    return PublishedRepository(f"timm/{name}", top1, TIMM_RESULTS, APACHE)


# Factors of the channels and of the number of blocks, number of weights
# (github.com/tensorflow/tpu, models/official/efficientnet/lite).
LITE_FACTORS = (
    (1.0, 1.0, 3_413_024),
    (1.0, 1.1, 4_189_344),
    (1.1, 1.2, 4_869_168),
    (1.2, 1.4, 6_992_768),
    (1.4, 1.8, 11_837_936),
)
_LITE_SIZES = (224, 240, 260, 280, 300)
# Size, crop, interpolation and accuracy of timm's tf_efficientnet_lite0 to 4.
_LITE_TIMM = (
    (224, 0.875, "bicubic", 0.74830),
    (240, 0.882, "bicubic", 0.76644),
    (260, 0.890, "bicubic", 0.77464),
    (300, 0.904, "bilinear", 0.79808),
    (380, 0.920, "bilinear", 0.81532),
)


def _lite(number: int, suffix: str, size: int, preprocessing: str, **fields: Any) -> Base:
    """Return the row of an EfficientNet-Lite. fields: those of the row that differ, and `network` in its settings."""
    width, depth, parameters = LITE_FACTORS[number]
    network = MobileNetwork(
        32, efficientnet(width, depth, lite=True), "relu6", 1280, **fields.pop("network", TENSORFLOW)
    )
    return Base(
        BUILDER,
        size,
        preprocessing,
        STAGES,
        parameters,
        "EfficientNet-Lite",
        source="github.com/tensorflow/tpu",
        licence="ImageNet weights of tensorflow/tpu (Apache-2.0)",
        settings={"name": f"efficientnet_lite{number}{suffix}", "network": network},
        **fields,
    )


# Factors of the channels and of the number of blocks, number of weights (Tan & Le 2019).
FACTORS = (
    (1.0, 1.0, 4_049_564),
    (1.0, 1.1, 6_575_232),
    (1.1, 1.2, 7_768_562),
    (1.2, 1.4, 10_783_528),
    (1.4, 1.8, 17_673_816),
    (1.6, 2.2, 28_513_520),
    (1.8, 2.6, 40_960_136),
    (2.0, 3.1, 64_097_680),
)
# Size and crop of torchvision's first weights, and timm's weights for the same network with their accuracy.
_TORCH: tuple[tuple[int, float, PublishedRepository | None], ...] = (
    (224, 0.875, _published("efficientnet_b0.ra_in1k", 0.77694)),
    (240, 0.938, _published("efficientnet_b1.ft_in1k", 0.78800)),
    (288, 1.0, _published("efficientnet_b2.ra_in1k", 0.80610)),
    (300, 0.938, _published("efficientnet_b3.ra2_in1k", 0.82242)),
    (380, 0.990, _published("efficientnet_b4.ra2_in1k", 0.83414)),
    (456, 1.0, None),
    (528, 1.0, None),
    (600, 1.0, None),
)


def _torch(
    number: int, suffix: str, size: int, crop: float, epsilon: float, repository: PublishedRepository | None
) -> Base:
    """Return the row of an EfficientNet with even padding."""
    width, depth, parameters = FACTORS[number]
    stages = efficientnet(width, depth)
    network = MobileNetwork(rounded(32 * width), stages, "silu", rounded(1280 * width), epsilon=epsilon)
    return Base(
        BUILDER,
        size,
        "torch",
        STAGES,
        parameters,
        "EfficientNet",
        source="torchvision and timm" if suffix == "_torch" else "timm",
        licence=f"ImageNet weights of timm ({APACHE})",
        settings={"name": f"efficientnetb{number}{suffix}", "network": network},
        crop=crop,
        interpolation="bicubic",
        repository=repository,
    )


ROWS: dict[str, Base] = {
    **{
        f"efficientnet_lite{number}": _lite(number, "", size, "lite", crop=_LITE_TIMM[number][1])
        for number, size in enumerate(_LITE_SIZES)
    },
    **{
        f"efficientnet_lite{number}_timm": _lite(
            number,
            "_timm",
            size,
            "symmetric",
            crop=crop,
            interpolation=interpolation,
            repository=_published(f"tf_efficientnet_lite{number}.in1k", top1),
        )
        for number, (size, crop, interpolation, top1) in enumerate(_LITE_TIMM)
    },
    "efficientnet_lite0_torch": _lite(
        0,
        "_torch",
        224,
        "torch",
        crop=0.875,
        interpolation="bicubic",
        network={},
        repository=_published("efficientnet_lite0.ra_in1k", 0.75480),
    ),
    # torchvision's larger networks have TensorFlow's epsilon, timm's have PyTorch's.
    **{
        f"efficientnetb{number}_torch": _torch(number, "_torch", size, crop, 1e-5 if number < 5 else 1e-3, repository)
        for number, (size, crop, repository) in enumerate(_TORCH)
    },
    "efficientnetb5_timm": _torch(5, "_timm", 448, 1.0, 1e-5, _published("efficientnet_b5.sw_in12k_ft_in1k", 0.85892)),
    "efficientnetb6_timm": _torch(6, "_timm", 528, 0.942, 1e-5, None),
    "efficientnetb7_timm": _torch(7, "_timm", 600, 0.949, 1e-5, None),
}
