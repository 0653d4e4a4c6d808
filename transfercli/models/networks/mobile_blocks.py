"""Blocks of the networks for small machines: EfficientNets and MobileNets as tables of numbers. No import of Keras."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

Stages = tuple[tuple["Block", ...], ...]


@dataclass(frozen=True)
class Block:
    """Inverted residual block (Sandler et al. 2018) and its successors.

    In order: a depthwise convolution, an expansion, a depthwise convolution, squeeze and excitation, a projection. Each
    but the projection can be missing. The input is added if the shape stays the same.

    filters: channels of the output. kernel: side of the depthwise convolution, 0 without one. stride: of the block.
    expanded: channels between expansion and projection, 0 without an expansion. fused: side of the expansion's kernel,
    which then has the stride (Tan & Le 2021). start: side of the depthwise convolution before it, 0 without one
    (MobileNetV4, Qin et al. 2024). squeeze: channels of squeeze and excitation, 0 without it.
    activation: Keras's name. projected: False for a block that is only a convolution, with its activation.
    """

    filters: int
    kernel: int = 3
    stride: int = 1
    expanded: int = 0
    fused: int = 1
    start: int = 0
    squeeze: int = 0
    activation: str = "relu6"
    projected: bool = True


@dataclass(frozen=True)
class MobileNetwork:
    """Network of a 3x3 stem at stride 2, stages of blocks and a last 1x1 convolution.

    stem, top: channels of the first and of the last convolution; without a `top` the last block gives the features.
    activation: of both. gate: of squeeze and excitation. padding: of the original library, uneven at stride 2
    (`tensorflow`) or `even`. epsilon: of BatchNorm.
    """

    stem: int
    stages: Stages
    activation: str
    top: int = 0
    padding: Literal["tensorflow", "even"] = "even"
    epsilon: float = 1e-5
    gate: str = "sigmoid"


def rounded(channels: float, divisor: int = 8) -> int:
    """Return the multiple of `divisor` next to a number of channels, at most a tenth below it."""
    nearest = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return nearest + divisor if nearest < 0.9 * channels else nearest


# Kernel, number of blocks, filters, expansion and stride of each stage of EfficientNet-B0 (Tan & Le 2019, table 1).
_EFFICIENTNET = (
    (3, 1, 16, 1, 1),
    (3, 2, 24, 6, 2),
    (5, 2, 40, 6, 2),
    (3, 3, 80, 6, 2),
    (5, 3, 112, 6, 1),
    (5, 4, 192, 6, 2),
    (3, 1, 320, 6, 1),
)


def efficientnet(width: float, depth: float, *, lite: bool = False) -> Stages:
    """Return the stages of an EfficientNet. width, depth: factors of the channels and of the number of blocks.

    lite: without squeeze and excitation, with ReLU6; the first and the last stage always have one block.
    """
    last = len(_EFFICIENTNET) - 1
    stages, channels = [], 32 if lite else rounded(32 * width)
    for number, (kernel, repeats, filters, expansion, stride) in enumerate(_EFFICIENTNET):
        count = repeats if lite and number in (0, last) else math.ceil(depth * repeats)
        blocks = []
        for position in range(count):
            block = Block(
                rounded(filters * width),
                kernel,
                stride if position == 0 else 1,
                expanded=0 if expansion == 1 else expansion * channels,
                squeeze=0 if lite else channels // 4,
                activation="relu6" if lite else "silu",
            )
            blocks.append(block)
            channels = block.filters
        stages.append(tuple(blocks))
    return tuple(stages)


def _in_stages(blocks: Iterable[Block]) -> Stages:
    """Group blocks into stages: one begins where the size of the map or the number of channels changes."""
    stages: list[list[Block]] = []
    for block in blocks:
        if not stages or block.stride > 1 or block.filters != stages[-1][-1].filters:
            stages.append([])
        stages[-1].append(block)
    return tuple(tuple(stage) for stage in stages)


def mobilenet_v2() -> Stages:
    """Return the stages of MobileNetV2 (Sandler et al. 2018, table 2)."""
    blocks, channels = [], 32
    for expansion, filters, count, stride in (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    ):
        for position in range(count):
            expanded = 0 if expansion == 1 else expansion * channels
            blocks.append(Block(filters, 3, stride if position == 0 else 1, expanded))
            channels = filters
    return _in_stages(blocks)


# Kernel, expanded channels, filters, squeeze and excitation, hard swish in place of ReLU, and stride of each block
# (Howard et al. 2019, tables 1 and 2).
_V3_LARGE = (
    (3, 16, 16, False, False, 1),
    (3, 64, 24, False, False, 2),
    (3, 72, 24, False, False, 1),
    (5, 72, 40, True, False, 2),
    (5, 120, 40, True, False, 1),
    (5, 120, 40, True, False, 1),
    (3, 240, 80, False, True, 2),
    (3, 200, 80, False, True, 1),
    (3, 184, 80, False, True, 1),
    (3, 184, 80, False, True, 1),
    (3, 480, 112, True, True, 1),
    (3, 672, 112, True, True, 1),
    (5, 672, 160, True, True, 2),
    (5, 960, 160, True, True, 1),
    (5, 960, 160, True, True, 1),
)
_V3_SMALL = (
    (3, 16, 16, True, False, 2),
    (3, 72, 24, False, False, 2),
    (3, 88, 24, False, False, 1),
    (5, 96, 40, True, True, 2),
    (5, 240, 40, True, True, 1),
    (5, 240, 40, True, True, 1),
    (5, 120, 48, True, True, 1),
    (5, 144, 48, True, True, 1),
    (5, 288, 96, True, True, 2),
    (5, 576, 96, True, True, 1),
    (5, 576, 96, True, True, 1),
)


def _mobilenet_v3(table: tuple[tuple[int, int, int, bool, bool, int], ...]) -> Stages:
    blocks, channels = [], 16
    for kernel, expanded, filters, squeezes, swish, stride in table:
        blocks.append(
            Block(
                filters,
                kernel,
                stride,
                0 if expanded == channels else expanded,
                squeeze=rounded(expanded / 4) if squeezes else 0,
                activation="hard_silu" if swish else "relu",
            )
        )
        channels = filters
    return _in_stages(blocks)


def mobilenet_v3_large() -> Stages:
    """Return the stages of MobileNetV3-Large."""
    return _mobilenet_v3(_V3_LARGE)


def mobilenet_v3_small() -> Stages:
    """Return the stages of MobileNetV3-Small."""
    return _mobilenet_v3(_V3_SMALL)


def _plain(filters: int, side: int = 1, stride: int = 1) -> Block:
    """Return a block that is one convolution."""
    return Block(filters, 0, stride, expanded=filters, fused=side, activation="relu", projected=False)


def _universal(channels: int, table: Iterable[tuple[int, int, int, float, int]]) -> list[Block]:
    """Return universal inverted bottlenecks.

    channels: of the input. table: sides of the first and of the second depthwise convolution, stride, expansion and
    filters of each block.
    """
    blocks = []
    for start, kernel, stride, expansion, filters in table:
        blocks.append(Block(filters, kernel, stride, rounded(channels * expansion), start=start, activation="relu"))
        channels = filters
    return blocks


def mobilenet_v4_small() -> Stages:
    """Return the stages of MobileNetV4-Conv-S (Qin et al. 2024, appendix D)."""
    fourth = [(5, 5, 2, 3, 96), *[(0, 3, 1, 2, 96)] * 4, (3, 0, 1, 4, 96)]
    fifth = [
        (3, 3, 2, 6, 128),
        (5, 5, 1, 4, 128),
        (0, 5, 1, 4, 128),
        (0, 5, 1, 3, 128),
        (0, 3, 1, 4, 128),
        (0, 3, 1, 4, 128),
    ]
    return (
        (_plain(32, 3, 2), _plain(32)),
        (_plain(96, 3, 2), _plain(64)),
        tuple(_universal(64, fourth)),
        tuple(_universal(96, fifth)),
    )


_FUSED = Block(48, 0, 2, expanded=128, fused=3, activation="relu")


def mobilenet_v4_medium() -> Stages:
    """Return the stages of MobileNetV4-Conv-M (Qin et al. 2024, appendix D)."""
    second = [(3, 5, 2, 4, 80), (3, 3, 1, 2, 80)]
    third = [
        (3, 5, 2, 6, 160),
        (3, 3, 1, 4, 160),
        (3, 3, 1, 4, 160),
        (3, 5, 1, 4, 160),
        (3, 3, 1, 4, 160),
        (3, 0, 1, 4, 160),
        (0, 0, 1, 2, 160),
        (3, 0, 1, 4, 160),
    ]
    fourth = [
        (5, 5, 2, 6, 256),
        (5, 5, 1, 4, 256),
        (3, 5, 1, 4, 256),
        (3, 5, 1, 4, 256),
        (0, 0, 1, 4, 256),
        (3, 0, 1, 4, 256),
        (3, 5, 1, 2, 256),
        (5, 5, 1, 4, 256),
        (0, 0, 1, 4, 256),
        (0, 0, 1, 4, 256),
        (5, 0, 1, 2, 256),
    ]
    universal = (_universal(48, second), _universal(80, third), _universal(160, fourth))
    return ((_FUSED,), *map(tuple, universal))


def mobilenet_v4_large() -> Stages:
    """Return the stages of MobileNetV4-Conv-L (Qin et al. 2024, appendix D)."""
    second = [(3, 5, 2, 4, 96), (3, 3, 1, 4, 96)]
    third = [
        (3, 5, 2, 4, 192),
        *[(3, 3, 1, 4, 192)] * 3,
        (3, 5, 1, 4, 192),
        *[(5, 3, 1, 4, 192)] * 5,
        (3, 0, 1, 4, 192),
    ]
    fourth = [
        (5, 5, 2, 4, 512),
        *[(5, 5, 1, 4, 512)] * 3,
        (5, 0, 1, 4, 512),
        (5, 3, 1, 4, 512),
        *[(5, 0, 1, 4, 512)] * 2,
        (5, 3, 1, 4, 512),
        (5, 5, 1, 4, 512),
        *[(5, 0, 1, 4, 512)] * 3,
    ]
    universal = (_universal(48, second), _universal(96, third), _universal(192, fourth))
    return ((replace(_FUSED, expanded=96),), *map(tuple, universal))
