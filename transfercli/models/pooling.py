"""Pooling: the layers of a head, up to the one named `pool`, that turn the base's output into one vector.

The output is a map [N, h, w, d] or tokens [N, T, d]. The first tokens may stand for no patch: class token, registers.
Every layer is one of Keras' own, so that an export opens without this package.
"""

from __future__ import annotations

import keras
import numpy as np
from keras import layers

from transfercli.errors import ConfigError
from transfercli.models.keras_internals import call_with_replacements

POOL = "pool"
PARTS = ("pool_token", "pool_mean")  # of a pooling that puts two vectors side by side
OF_MAPS = {"avg": layers.GlobalAveragePooling2D, "max": layers.GlobalMaxPooling2D, "flatten": layers.Flatten}
OF_TOKENS = {"avg": layers.GlobalAveragePooling1D, "max": layers.GlobalMaxPooling1D, "flatten": layers.Flatten}


def pool(features: keras.KerasTensor, pooling: str, prefix_tokens: int = 0) -> keras.KerasTensor:
    """Return one vector an image [N, p] of a map [N, h, w, d] or of tokens [N, T, d].

    pooling: a value of `model.head.pooling`; avg and max are over patches only, flatten keeps all tokens.
    prefix_tokens: number of tokens before those of the patches; the class token is the first of them.
    Raises `ConfigError` if there is no class token and the pooling needs one.
    """
    is_map = len(features.shape) == 4
    if pooling in ("token", "token_avg") and (is_map or not prefix_tokens):
        raise ConfigError(*without_class_token(pooling))
    if is_map:
        return OF_MAPS[pooling](name=POOL)(features)
    if pooling == "flatten":
        return layers.Flatten(name=POOL)(features)
    if pooling == "token":
        return _class_token(features, POOL)
    patches = layers.Cropping1D((prefix_tokens, 0), name="patch_tokens")(features) if prefix_tokens else features
    if pooling == "token_avg":
        token, mean = PARTS
        both = [_class_token(features, token), layers.GlobalAveragePooling1D(name=mean)(patches)]
        return layers.Concatenate(name=POOL)(both)
    return OF_TOKENS[pooling](name=POOL)(patches)


def _class_token(tokens: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """Return the first of tokens [N, T, d] as [N, d]."""
    _, count, width = tokens.shape
    return layers.Reshape((width,), name=name)(layers.Cropping1D((0, count - 1), name="class_token")(tokens))


def without_class_token(pooling: str, base: str = "the base") -> tuple[str, str]:
    """Return message and hint of the error that a base has no class token to pool."""
    return (
        f"model.head.pooling: {pooling} is the class token of a vision transformer, and {base} has none",
        "use avg, max or flatten, or leave the key out",
    )


def pooling_of(head: keras.Model) -> keras.Model:
    """Return the part of a head from the base's output to its layer `pool`."""
    return keras.Model(head.input, head.get_layer(POOL).output, name="pooling")


def pooled(head: keras.Model, features: keras.KerasTensor) -> keras.KerasTensor:
    """Return the output of a head's pooling for the base's output, by the head's own layers."""
    return call_with_replacements(pooling_of(head), features, {})


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
    pooling = pooling_of(head)
    copies = {layer.name: _renamed(layer, f"feature_{layer.name}") for layer in pooling.layers[1:]}
    return call_with_replacements(pooling, base_output, copies)


def _renamed(layer: keras.layers.Layer, name: str) -> keras.layers.Layer:
    """Return a copy, under another name, of a layer without weights."""
    return type(layer).from_config({**layer.get_config(), "name": name})


def features_of_pooled(head: keras.Model, pooled: np.ndarray) -> np.ndarray:
    """Return the features of images, float32 [N, D], from the output of the head's pooling, [N, p].

    A flattened map, or flattened tokens, are averaged over their positions, so that the position of an object in the
    image does not matter. Every other pooling already gives features, which stay as they are.
    """
    if isinstance(head.get_layer(POOL), layers.Flatten):
        pooled = pooled.reshape(len(pooled), -1, head.input.shape[-1]).mean(axis=1, dtype="float32")
    return pooled.astype("float32", copy=False)
