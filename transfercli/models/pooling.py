"""Pooling: the layers of a head, up to the one named `pool`, that turn the base's output into one vector.

The output is a map [N, h, w, d] or tokens [N, T, d]. The first tokens may stand for no patch: class token, registers.
Every layer is one of Keras' own, so that an export opens without this package.
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
from keras import layers

from transfercli.errors import ConfigError
from transfercli.models.keras_internals import call_with_replacements

POOL = "pool"
TAP, FEATURES = "tap", "features"  # names of a head's inputs: tap1, tap2 and so on, and the base's output
PARTS = ("pool_token", "pool_mean")  # of a pooling that puts two vectors side by side
OF_MAPS = {"avg": layers.GlobalAveragePooling2D, "max": layers.GlobalMaxPooling2D, "flatten": layers.Flatten}
OF_TOKENS = {"avg": layers.GlobalAveragePooling1D, "max": layers.GlobalMaxPooling1D, "flatten": layers.Flatten}


def pool_all(
    shapes: Sequence[tuple[int, ...]], pooling: str, prefix_tokens: int = 0
) -> tuple[list[keras.KerasTensor], list[keras.KerasTensor]]:
    """Return inputs of a head and the vector [N, p] that each is pooled to; the last is the base's output.

    shapes: of each input without the images' axis. Raises `ConfigError` as `pool`, and if taps would be flattened.
    """
    if len(shapes) > 1 and pooling == "flatten":
        raise ConfigError(
            "model.head.pooling: flatten, but the head reads several layers, whose maps are too large to flatten",
            "use avg or max, or set model.head.taps to [] for the last layer alone",
        )
    *taps, last = shapes
    inputs = [layers.Input(shape, name=f"{TAP}{number}") for number, shape in enumerate(taps, start=1)]
    vectors = [pool(x, pooling, prefix_tokens, f"{TAP}{number}_") for number, x in enumerate(inputs, start=1)]
    features = layers.Input(last, name=FEATURES)
    return [*inputs, features], [*vectors, pool(features, pooling, prefix_tokens)]


def pool(features: keras.KerasTensor, pooling: str, prefix_tokens: int = 0, name_prefix: str = "") -> keras.KerasTensor:
    """Return one vector an image [N, p] of a map [N, h, w, d] or of tokens [N, T, d].

    pooling: a value of `model.head.pooling`; avg and max are over patches only, flatten keeps all tokens.
    prefix_tokens: number of tokens before those of the patches; the class token is the first of them.
    name_prefix: of the names of its layers.
    Raises `ConfigError` if there is no class token and the pooling needs one.
    """
    is_map, name = len(features.shape) == 4, f"{name_prefix}{POOL}"
    if pooling in ("token", "token_avg") and (is_map or not prefix_tokens):
        raise ConfigError(*without_class_token(pooling))
    if is_map:
        return OF_MAPS[pooling](name=name)(features)
    if pooling == "flatten":
        return layers.Flatten(name=name)(features)
    if pooling == "token":
        return _class_token(features, name, name_prefix)
    cropping = layers.Cropping1D((prefix_tokens, 0), name=f"{name_prefix}patch_tokens")
    patches = cropping(features) if prefix_tokens else features
    if pooling == "token_avg":
        token, mean = (name_prefix + part for part in PARTS)
        both = [_class_token(features, token, name_prefix), layers.GlobalAveragePooling1D(name=mean)(patches)]
        return layers.Concatenate(name=name)(both)
    return OF_TOKENS[pooling](name=name)(patches)


def _class_token(tokens: keras.KerasTensor, name: str, name_prefix: str) -> keras.KerasTensor:
    """Return the first of tokens [N, T, d] as [N, d]."""
    _, count, width = tokens.shape
    first = layers.Cropping1D((0, count - 1), name=f"{name_prefix}class_token")(tokens)
    return layers.Reshape((width,), name=name)(first)


def without_class_token(pooling: str, base: str = "the base") -> tuple[str, str]:
    """Return message and hint of the error that a base has no class token to pool."""
    return (
        f"model.head.pooling: {pooling} is the class token of a vision transformer, and {base} has none",
        "use avg, max or flatten, or leave the key out",
    )


def pooling_of(head: keras.Model) -> keras.Model:
    """Return the part of a head from the base's output to its layer `pool`."""
    return keras.Model(head.inputs[-1], head.get_layer(POOL).output, name="pooling")


def poolings_of(head: keras.Model) -> list[keras.Model]:
    """Return the part of a head from each of its inputs to the vector that it is pooled to, the base's output last."""
    *taps, _ = head.inputs
    names = [f"{tap.name}_{POOL}" for tap in taps]
    below = [
        keras.Model(tap, head.get_layer(name).output, name=f"{tap.name}_pooling")
        for tap, name in zip(taps, names, strict=True)
    ]
    return [*below, pooling_of(head)]


def pooled(head: keras.Model, outputs: Sequence[keras.KerasTensor]) -> list[keras.KerasTensor]:
    """Return the vectors [N, p] that a head pools the outputs of its trunk to, by the head's own layers."""
    poolings = poolings_of(head)
    return [call_with_replacements(pooling, x, {}) for pooling, x in zip(poolings, outputs, strict=True)]


def pooling_key(head: keras.Model) -> str:
    """Return text that identifies a head's pooling, the same in every process."""
    return ", ".join(type(layer).__name__ for layer in pooling_of(head).layers[1:])


# -- features: the pooled vector, in which a position in the image has no values of its own


def feature_layers(head: keras.Model, base_output: keras.KerasTensor) -> keras.KerasTensor:
    """Return the features [N, D] of the base's output: the pooled vector, averaged over positions if it is flattened.

    The layers are new ones, so that they can stand beside those of the head in one graph.
    """
    if isinstance(head.get_layer(POOL), layers.Flatten):
        mean = layers.GlobalAveragePooling2D if len(base_output.shape) == 4 else layers.GlobalAveragePooling1D
        return mean(dtype="float32", name=f"feature_{POOL}")(base_output)
    return unshared(pooling_of(head), base_output)


def unshared(pooling: keras.Model, x: keras.KerasTensor) -> keras.KerasTensor:
    """Return what a pooling computes of `x`, by copies of its layers, whose names begin with `feature_`."""
    copies = {layer.name: _renamed(layer, f"feature_{layer.name}") for layer in pooling.layers[1:]}
    return call_with_replacements(pooling, x, copies)


def _renamed(layer: keras.layers.Layer, name: str) -> keras.layers.Layer:
    """Return a copy, under another name, of a layer without weights."""
    return type(layer).from_config({**layer.get_config(), "name": name})


def features_of_pooled(head: keras.Model, pooled: np.ndarray) -> np.ndarray:
    """Return the features of images, float32 [N, D], from the output of the head's poolings, [N, p].

    They are those of the base's output, which are the last ones.

    A flattened map, or flattened tokens, are averaged over their positions, so that the position of an object in the
    image does not matter. Every other pooling already gives features, which stay as they are.
    """
    pooled = pooled[:, -head.get_layer(POOL).output.shape[-1] :]
    if isinstance(head.get_layer(POOL), layers.Flatten):
        pooled = pooled.reshape(len(pooled), -1, head.inputs[-1].shape[-1]).mean(axis=1, dtype="float32")
    return pooled.astype("float32", copy=False)
