"""Architecture of a classifier: everything that determines its network, without the weights."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

from transfercli.config.schema import HeadConfig
from transfercli.config.types import Task


@dataclass(frozen=True)
class Member:
    """Further network of an average.

    own: names, as in a fresh process, of the layers of its base whose weights are not those of the first network.
    """

    base: str
    head: HeadConfig
    own: Set[str]


@dataclass(frozen=True)
class Architecture:
    """Inputs from which a classifier is built.

    image_size: (height, width) in pixels. labels: class names in index order.
    batchnorm_trains: BatchNorm layers that train also update their statistics; needed if the base has random weights.
    drop_path: probability that training skips the last block of a vision transformer for an image.
    members: further networks, whose probabilities are averaged with those of `base` and `head`.
    task: row of `OUTPUTS`: what the output units answer.
    """

    base: str
    image_size: tuple[int, int]
    channels: int
    head: HeadConfig
    labels: tuple[str, ...]
    batchnorm_trains: bool = False
    drop_path: float = 0.0
    members: tuple[Member, ...] = ()
    task: Task = "classify"


def without_drop_path(base: str, rate: float) -> tuple[str, str]:
    """Return message and hint of the error that a base has no drop-path."""
    return (
        f"model.drop_path: {base} has no drop-path, received {rate:g}; allowed: 0",
        "leave the key out, or choose a vision transformer as model.base (transfercli bases list)",
    )
