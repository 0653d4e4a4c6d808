"""The architecture of a classifier: everything its network is built from, and no weights."""

from __future__ import annotations

from dataclasses import dataclass

from transfercli.config.schema import HeadConfig


@dataclass(frozen=True)
class Architecture:
    """What a classifier is built from.

    batchnorm_trains: BatchNorm of layers that train learns its statistics, as it must where a base starts fresh.
    """

    base: str
    image_size: tuple[int, int]
    channels: int
    head: HeadConfig
    labels: tuple[str, ...]
    batchnorm_trains: bool = False
