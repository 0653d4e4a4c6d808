"""Bases of EfficientNets that keras.applications lacks: EfficientNet-Lite, and B0 to B7 as PyTorch's libraries build them."""

from __future__ import annotations

from typing import Any

from transfercli.models.base import Base
from transfercli.models.networks.mobile_blocks import efficientnet

BUILDER = "transfercli.models.networks.mobile:mobile_network"
STAGES = r"^(block\d+)"
# Size in pixels, factor of the channels, factor of the number of blocks, number of weights, and crop of Lite0 to Lite4
# (github.com/tensorflow/tpu, models/official/efficientnet/lite).
_LITE = (
    (224, 1.0, 1.0, 3_413_024, 0.875),
    (240, 1.0, 1.1, 4_189_344, 0.882),
    (260, 1.1, 1.2, 4_869_168, 0.890),
    (280, 1.2, 1.4, 6_992_768, 0.904),
    (300, 1.4, 1.8, 11_837_936, 0.920),
)


def _lite(number: int, suffix: str = "", **fields: Any) -> tuple[str, Base]:
    size, width, depth, parameters, crop = _LITE[number]
    name = f"efficientnet_lite{number}{suffix}"
    settings = {
        "name": name,
        "stem": 32,
        "stages": efficientnet(width, depth, lite=True),
        "activation": "relu6",
        "top": 1280,
        "padding": "tensorflow",
        "epsilon": 1e-3,
    }
    row = Base(
        BUILDER,
        **{"size": size, "preprocessing": "lite", **fields},
        stages=STAGES,
        parameters=parameters,
        family="EfficientNet-Lite",
        source="github.com/tensorflow/tpu",
        settings=settings,
        crop=crop,
    )
    return name, row


ROWS: dict[str, Base] = dict(_lite(number) for number in range(5))
