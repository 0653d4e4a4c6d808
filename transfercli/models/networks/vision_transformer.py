"""Vision transformers (Dosovitskiy et al. 2021) of plain Keras layers.

LayerScale is part of the projection before it, and the position of the class token part of the token itself: both are
added when weights are read, so ViT, DeiT, DeiT-III and DINOv2 are one network. Attention is written with `Dense` layers
and operations: every kernel is then a layer of its own, to freeze, adapt, count and export like any other.
"""

from __future__ import annotations

import math

import keras
from keras import layers, ops

from transfercli.models.networks.arguments import check_random_weights

Shape = tuple[int, int, int]
EXPANSION = 4  # a block's hidden layer has so many more units than a token


def vision_transformer(
    weights: None = None,
    include_top: bool = False,
    input_shape: Shape = (224, 224, 3),
    *,
    name: str,
    patch: int,
    width: int,
    depth: int,
    heads: int,
    registers: int = 0,
    drop_path: float = 0.0,
) -> keras.Model:
    """Build a vision transformer without its head: image [N, H, W, C] -> tokens [N, 1 + registers + patches, width].

    The class token is first, then the registers (Darcet et al. 2024), then the patches, row by row. The image is cut
    to a whole number of patches at its right and lower edge.

    drop_path: probability that training skips the last block for an image (stochastic depth, Huang et al. 2016); it
    grows linearly from 0 at the first block.
    """
    check_random_weights(weights, include_top, name)
    image = layers.Input(input_shape, name="image")
    x = layers.Conv2D(width, patch, patch, name="patches")(image)
    count = x.shape[1] * x.shape[2]
    x = layers.Reshape((count, width), name="patches_flat")(x)
    x = layers.Add(name="patches_placed")([x, _constants(x, count, width, "positions")])
    tokens = _constants(x, 1 + registers, width, "tokens")
    x = layers.Concatenate(axis=1, name="sequence")([tokens, x])
    for number in range(1, depth + 1):
        rate = drop_path * (number - 1) / max(depth - 1, 1)
        x = _block(x, heads, rate, f"block{number}")
    x = layers.LayerNormalization(epsilon=1e-6, name="norm")(x)
    return keras.Model(image, x, name=name)


def _constants(x: keras.KerasTensor, count: int, width: int, name: str) -> keras.KerasTensor:
    """Return the weights of an `Embedding`, `count` vectors, for each image of the batch: [N, count, width]."""
    ones = ops.ones_like(x[:, :1, :1])  # [N, 1, 1]; its size is that of the batch
    index = ops.cumsum(ops.tile(ones[:, :, 0], (1, count)), axis=1) - 1
    return layers.Embedding(count, width, name=name)(ops.cast(index, "int32"))


def _block(x: keras.KerasTensor, heads: int, drop_path: float, name: str) -> keras.KerasTensor:
    """Add a block: attention and a hidden layer, each after a LayerNorm and beside a shortcut."""
    y = layers.LayerNormalization(epsilon=1e-6, name=f"{name}_norm1")(x)
    y = _attention(y, heads, name)
    x = layers.Add(name=f"{name}_add1")([x, _dropped(y, drop_path, f"{name}_drop1")])
    y = layers.LayerNormalization(epsilon=1e-6, name=f"{name}_norm2")(x)
    y = layers.Dense(EXPANSION * x.shape[-1], name=f"{name}_hidden")(y)
    y = layers.Activation("gelu", name=f"{name}_gelu")(y)
    y = layers.Dense(x.shape[-1], name=f"{name}_output")(y)
    return layers.Add(name=f"{name}_add2")([x, _dropped(y, drop_path, f"{name}_drop2")])


def _attention(x: keras.KerasTensor, heads: int, name: str) -> keras.KerasTensor:
    """Add self-attention of several heads [N, T, d] -> [N, T, d]."""
    count, width = x.shape[1:]
    size = width // heads

    def split(part: str) -> keras.KerasTensor:
        vectors = layers.Dense(width, name=f"{name}_{part}")(x)
        return ops.transpose(ops.reshape(vectors, (-1, count, heads, size)), (0, 2, 1, 3))

    query, key, value = split("query"), split("key"), split("value")
    scores = ops.matmul(query, ops.transpose(key, (0, 1, 3, 2))) / math.sqrt(size)
    attention = layers.Softmax(name=f"{name}_attention")(scores)  # [N, heads, T, T]
    mixed = ops.reshape(ops.transpose(ops.matmul(attention, value), (0, 2, 1, 3)), (-1, count, width))
    return layers.Dense(width, name=f"{name}_projection")(mixed)


def _dropped(x: keras.KerasTensor, rate: float, name: str) -> keras.KerasTensor:
    """Return a branch that training leaves out for some images of a batch."""
    return layers.Dropout(rate, noise_shape=(None, 1, 1), name=name)(x) if rate else x
