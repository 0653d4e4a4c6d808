"""Taps: layers of a base whose features the head reads besides the base's output.

Lower layers know textures and parts that the last one has lost, so a linear head on several layers is more accurate
than one on the last ("Head2Toe", Evci et al. 2022).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import keras
from keras import layers

from transfercli.errors import ConfigError
from transfercli.models.base import Base, stages_of
from transfercli.models.keras_internals import has_inner_layers
from transfercli.text import did_you_mean

MOST = 3  # taps below the base's output: the lowest layers of a network hardly help
PASSED_OVER = (layers.MaxPooling2D, layers.AveragePooling2D, layers.ZeroPadding2D, layers.Dropout)

Setting = Sequence[str] | Literal["stages"] | None


def tap_names(row: Base, base: keras.Model, setting: Setting) -> tuple[str, ...]:
    """Return the names of the stages or layers that a head reads, from the input to the top, without the base's output.

    setting: value of `model.head.taps`. Raises `ConfigError` if the base has no such stage or layer.
    """
    if setting == "stages":
        return _upper_stages(row, base)
    names = tuple(setting or ())
    tops = tops_of_stages(row, base)
    order = [layer.name for layer in base.layers]
    for name in names:
        if name not in tops and name not in order:
            guess = did_you_mean(name, (*tops, *order))
            raise ConfigError(
                f"model.head.taps: {base.name} has no stage or layer {name!r}{guess and f'; {guess}'}",
                f"use stages, or some of {', '.join(tops)}, or a layer's name",
            )
    return tuple(sorted(dict.fromkeys(names), key=lambda name: order.index(tops.get(name, name))))


def tops_of_stages(row: Base, base: keras.Model) -> dict[str, str]:
    """Return stage -> the name of its last layer that computes features; poolings between stages are passed over."""
    tops = {}
    for stage, names in stages_of(row, [layer.name for layer in base.layers]).items():
        tops[stage] = next((name for name in reversed(names) if _computes(base.get_layer(name))), names[-1])
    return tops


def tap_tensors(row: Base, base: keras.Model, taps: Sequence[str]) -> list[keras.KerasTensor]:
    """Return the outputs of the stages or layers named, each a map [N, h, w, d] or tokens [N, T, d]."""
    tops = tops_of_stages(row, base)
    return [base.get_layer(tops.get(name, name)).output for name in taps]


def trunk_of(row: Base, base: keras.Model, taps: Sequence[str]) -> keras.Model:
    """Return the model with the layers of `base` and the outputs that a head reads: of the taps, then of the base."""
    if not taps:
        return base
    return keras.Model(base.input, [*tap_tensors(row, base, taps), base.output], name="trunk")


def _computes(layer: keras.layers.Layer) -> bool:
    return not isinstance(layer, PASSED_OVER) and not has_inner_layers(layer) and len(layer.output.shape) in (3, 4)


def _upper_stages(row: Base, base: keras.Model) -> tuple[str, ...]:
    """Return the default taps: the top of each resolution of a map, or evenly spaced blocks of a transformer."""
    tops = tops_of_stages(row, base)
    *below, _ = tops  # the last stage ends with the base's output
    if row.prefix_tokens is not None:
        every = max(1, len(tops) // (MOST + 1))
        return tuple(below[every - 1 :: every][-MOST:])
    highest = {tuple(base.get_layer(tops[stage]).output.shape[1:3]): stage for stage in below}
    return tuple(sorted(highest.values(), key=below.index)[-MOST:])
