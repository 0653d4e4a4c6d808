"""Versions of ResNets: those of keras.applications and of PyTorch share names of layers, and compute other features.

Both have `conv2_block1_1_conv`, and most tensors have the same shape; but the convolutions of keras.applications have a
bias, and the stride is in another one. So a copy by name would be partial, and its features wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from transfercli.errors import ConfigError
from transfercli.models.bases import BASES

_DEPTHS = {6: "50", 23: "101", 36: "152"}  # by the number of blocks of the fourth stage
# Of the first convolution: the weight's name, or its index in a file of Keras.
_FIRST_BIAS = ("base/conv1_conv/bias", "base/conv1_conv/1")


def check_resnet_version(names: Iterable[str], base: str) -> None:
    """Raise `ConfigError` if weights named as Keras does are those of a ResNet of the other library than `base`.

    names: of the weights, `base/LAYER/WEIGHT` or `base/LAYER/INDEX`.
    """
    names = set(names)
    if not any(name.startswith("base/conv2_block1_3_conv/") for name in names):  # basic blocks, or no ResNet
        return
    by_keras = any(name in names for name in _FIRST_BIAS)
    builder = BASES[base].builder
    if by_keras and builder.endswith("networks.resnet:resnet"):
        version = "v2" if any("preact" in name for name in names) else ""
        network = f"keras.applications, version {version.removeprefix('v') or 1}"
        raise _other_version(base, network, f"resnet{_depth(names)}{version}")
    if not by_keras and builder.startswith("keras.applications:ResNet"):
        raise _other_version(base, "PyTorch, version 1.5", f"resnet{_depth(names)}_torch")


def _depth(names: Iterable[str]) -> str:
    blocks = {int(match[1]) for name in names if (match := re.match(r"base/conv4_block(\d+)_", name))}
    return _DEPTHS.get(max(blocks, default=0), "50")


def _other_version(base: str, network: str, other: str) -> ConfigError:
    return ConfigError(
        f"model.base: {base}, but the weights are those of a ResNet of {network}: its layers have the same names and"
        " compute other features",
        f"use base {other}",
    )
