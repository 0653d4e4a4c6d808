"""Architecture of a classifier: everything that determines its network, without the weights."""

from __future__ import annotations

from dataclasses import dataclass

from transfercli.config.schema import HeadConfig


@dataclass(frozen=True)
class Architecture:
    """Inputs from which a classifier is built.

    image_size: (height, width) in pixels. labels: class names in index order.
    batchnorm_trains: BatchNorm layers that train also update their statistics; needed if the base has random weights.
    """

    base: str
    image_size: tuple[int, int]
    channels: int
    head: HeadConfig
    labels: tuple[str, ...]
    batchnorm_trains: bool = False
