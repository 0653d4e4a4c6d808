"""Taps: layers of a base whose features the head reads besides the base's output.

Lower layers know textures and parts that the last one has lost, so a linear head on several layers is more accurate
than one on the last ("Head2Toe", Evci et al. 2022).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import keras
from keras import activations, layers

from transfercli.errors import ConfigError
from transfercli.models.base import Base, stages_of
from transfercli.models.keras_internals import has_inner_layers, producer_of
from transfercli.text import did_you_mean

MOST = 3  # taps below the base's output: the lowest layers of a network hardly help
MERGING = ("Add", "Concatenate", "Multiply")  # layers, or bare operations, that join branches

Setting = Sequence[str] | Literal["stages"] | None


def tap_names(row: Base, base: keras.Model, setting: Setting) -> tuple[str, ...]:
    """Return the names of the stages or layers that a head reads, from the input to the top, without the base's output.

    setting: value of `model.head.taps`. Raises `ConfigError` if the base has no such stage or layer.
    """
    tops = tops_of_stages(row, base)
    if setting == "stages":
        return _upper_stages(row, tops)
    chosen = {name: _operation(base, tops, name) for name in dict.fromkeys(setting or ())}
    order = {id(operation): number for number, operation in enumerate(base.operations)}
    return tuple(sorted(chosen, key=lambda name: order[id(chosen[name])]))


def tops_of_stages(row: Base, base: keras.Model) -> dict[str, Any]:
    """Return stage -> the layer, or bare operation, whose output has the stage's features: the last of its widest.

    The sum at the end of an inverted residual block is narrow, and the activation before it is worth more to a linear
    head (benchmarks/RESULTS.md).
    """
    operations = {operation.name: operation for operation in base.operations}
    tops = {}
    for stage, names in stages_of(row, list(operations)).items():
        members = [operations[name] for name in reversed(names)]
        tops[stage] = max(filter(_is_active, members), key=lambda one: one.output.shape[-1], default=members[0])
    return tops


def tap_tensors(row: Base, base: keras.Model, taps: Sequence[str]) -> list[keras.KerasTensor]:
    """Return the outputs of the stages or layers named, each a map [N, h, w, d] or tokens [N, T, d]."""
    tops = tops_of_stages(row, base)
    return [_operation(base, tops, name).output for name in taps]


def trunk_of(row: Base, base: keras.Model, taps: Sequence[str]) -> keras.Model:
    """Return the model with the layers of `base` and the outputs that a head reads: of the taps, then of the base."""
    if not taps:
        return base
    return keras.Model(base.input, [*tap_tensors(row, base, taps), base.output], name="trunk")


def _operation(base: keras.Model, tops: dict[str, Any], name: str) -> Any:
    """Return the top of a stage, or a layer, of which features can be read. Raises `ConfigError` for another name."""
    layer = tops.get(name) or next((layer for layer in base.layers if layer.name == name), None)
    stages = f"use stages, or some of {', '.join(tops)}, or a layer's name"
    if layer is None:
        guess = did_you_mean(name, (*tops, *(layer.name for layer in base.layers)))
        raise ConfigError(
            f"model.head.taps: {base.name} has no stage or layer {name!r}{guess and f'; {guess}'}", stages
        )
    if not _has_features(layer):
        raise ConfigError(f"model.head.taps: {name!r} of {base.name} has no output that can be pooled", stages)
    if layer.output is base.output:
        raise ConfigError(f"model.head.taps: {name!r} is the output of {base.name}, which every head reads", stages)
    return layer


def _has_features(operation: Any) -> bool:
    """Return True if an operation has one output, a map or tokens."""
    if has_inner_layers(operation) or isinstance(operation, layers.InputLayer):
        return False
    return isinstance(operation.output, keras.KerasTensor) and len(operation.output.shape) in (3, 4)


def _is_active(operation: Any) -> bool:
    """Return True for an activation, and for an operation that joins branches.

    Of a transformer, whose output is tokens, and of other blocks with dense layers only sums are: the hidden units of
    these layers are not the features that the next block reads.
    """
    kind = type(operation).__name__
    if not _has_features(operation) or isinstance(operation, layers.Dense):
        return False
    if len(operation.output.shape) == 3 or _follows_dense(operation):
        return kind == "Add"
    active = getattr(operation, "activation", activations.linear) is not activations.linear
    return active or kind in MERGING or isinstance(operation, layers.ReLU)


def _follows_dense(operation: Any) -> bool:
    inputs = operation.input if isinstance(operation.input, list) else [operation.input]
    return any(isinstance(producer_of(x), layers.Dense) for x in inputs)


def _upper_stages(row: Base, tops: dict[str, Any]) -> tuple[str, ...]:
    """Return the default taps: the top of each resolution of a map, or the blocks of a transformer below its last.

    The last blocks of a transformer are those whose class tokens linear probes read together ("Emerging properties in
    self-supervised vision transformers", Caron et al. 2021).
    """
    *below, _ = tops  # the last stage ends with the base's output
    if row.prefix_tokens is not None:
        return tuple(below[-MOST:])
    highest = {tuple(tops[stage].output.shape[1:3]): stage for stage in below}
    return tuple(sorted(highest.values(), key=below.index)[-MOST:])
