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
from transfercli.models.networks.drop_path import DropPath
from transfercli.models.networks.transformer import EXPANSION, Transformer

Shape = tuple[int, int, int]
Grid = tuple[int, int]  # rows and columns of patches
ROTARY_BASE = 100.0  # of DINOv3: periods go from half the image's side to nearly this many times as much


def vision_transformer(
    weights: None = None,
    include_top: bool = False,
    input_shape: Shape = (224, 224, 3),
    *,
    name: str,
    architecture: Transformer,
    drop_path: float = 0.0,
) -> keras.Model:
    """Build a vision transformer without its head: image [N, H, W, C] -> tokens [N, T, width].

    The class token is first, then the registers, then the patches, row by row. The image is cut to a whole number of
    patches at its right and lower edge.

    drop_path: probability that training skips the last block for an image (stochastic depth, Huang et al. 2016); it
    grows linearly from 0 at the first block.
    """
    check_random_weights(weights, include_top, name)
    depth, width = architecture.depth, architecture.width
    image = layers.Input(input_shape, name="image")
    patches = layers.Conv2D(
        width, architecture.patch, architecture.patch, use_bias=not architecture.pre_norm, name="patches"
    )(image)
    grid = patches.shape[1:3]
    x = layers.Reshape((grid[0] * grid[1], width), name="patches_flat")(patches)
    if architecture.positions == "learned":
        x = layers.Add(name="patches_placed")([x, _constants(x, grid[0] * grid[1], "positions")])
    first = [_constants(x, 1, "tokens")] if architecture.class_token else []
    if architecture.registers:
        first.append(_constants(x, architecture.registers, "registers"))
    if first:
        x = layers.Concatenate(axis=1, name="sequence")([*first, x])
    if architecture.pre_norm:
        x = _norm(x, architecture, "norm_before")
    for number in range(1, depth + 1):
        rate = drop_path * (number - 1) / max(depth - 1, 1)
        x = _block(x, architecture, grid, rate, f"block{number}")
    return keras.Model(image, _norm(x, architecture, "norm"), name=name)


def _constants(x: keras.KerasTensor, count: int, name: str) -> keras.KerasTensor:
    """Return the weights of an `Embedding`, `count` vectors, for each image of the batch: [N, count, width]."""
    ones = ops.ones_like(x[:, :1, 0], dtype="int32")  # [N, 1]; its size is that of the batch
    index = ops.cumsum(ops.tile(ones, (1, count)), axis=1) - 1
    return layers.Embedding(count, x.shape[-1], name=name)(index)


def _norm(x: keras.KerasTensor, architecture: Transformer, name: str) -> keras.KerasTensor:
    return layers.LayerNormalization(epsilon=architecture.epsilon, name=name)(x)


def _block(
    x: keras.KerasTensor, architecture: Transformer, grid: Grid, drop_path: float, name: str
) -> keras.KerasTensor:
    """Add a block: attention and a hidden layer, each after a LayerNorm and beside a shortcut."""
    y = _attention(_norm(x, architecture, f"{name}_norm1"), architecture, grid, name)
    x = layers.Add(name=f"{name}_add1")([x, _dropped(y, drop_path, f"{name}_drop1")])
    y = _norm(x, architecture, f"{name}_norm2")
    y = layers.Dense(EXPANSION * architecture.width, name=f"{name}_hidden")(y)
    y = _activated(y, architecture, f"{name}_gelu")
    y = layers.Dense(architecture.width, name=f"{name}_output")(y)
    return layers.Add(name=f"{name}_add2")([x, _dropped(y, drop_path, f"{name}_drop2")])


def _activated(x: keras.KerasTensor, architecture: Transformer, name: str) -> keras.KerasTensor:
    if architecture.activation == "quick_gelu":
        return layers.Multiply(name=name)([x, ops.sigmoid(1.702 * x)])
    if architecture.activation == "gelu_tanh":
        return ops.gelu(x, approximate=True)
    return layers.Activation("gelu", name=name)(x)


def _attention(x: keras.KerasTensor, architecture: Transformer, grid: Grid, name: str) -> keras.KerasTensor:
    """Add self-attention of several heads [N, T, d] -> [N, T, d]."""
    count, width = x.shape[1:]
    heads = architecture.heads
    size = width // heads
    rotary = architecture.positions == "rotary"

    def split(part: str) -> keras.KerasTensor:
        # A bias of the keys changes no attention, unless the keys are rotated: DINOv3 has none.
        vectors = layers.Dense(width, use_bias=not rotary or part != "key", name=f"{name}_{part}")(x)
        return ops.transpose(ops.reshape(vectors, (-1, count, heads, size)), (0, 2, 1, 3))

    query, key, value = split("query"), split("key"), split("value")
    if rotary:
        angles = _angles(x, grid, size, f"{name}_angles")
        query, key = _rotated(query, angles), _rotated(key, angles)
    scores = ops.matmul(query, ops.transpose(key, (0, 1, 3, 2))) / math.sqrt(size)
    attention = layers.Softmax(name=f"{name}_attention")(scores)  # [N, heads, T, T]
    mixed = ops.reshape(ops.transpose(ops.matmul(attention, value), (0, 2, 1, 3)), (-1, count, width))
    return layers.Dense(width, name=f"{name}_projection")(mixed)


def _angles(x: keras.KerasTensor, grid: Grid, size: int, name: str) -> keras.KerasTensor:
    """Return the angles that rotary positions turn the patches by: [1, 1, patches, size / 2], float32.

    Half of them follow from the patch's row, half from its column, each from -1 to 1 over the image's side.
    They are computed in the graph of each block, so that a network may start at any block.
    x: tokens [N, T, width]. size: of a head.
    """
    rows, columns = grid
    number = ops.cumsum(ops.ones_like(x[:1, -rows * columns :, :1], dtype="float32"), axis=1)  # from 1
    row = ops.floor((number - 0.5) / columns)
    column = number - 1.0 - columns * row
    places = [(row + 0.5) * (2 / rows) - 1.0, (column + 0.5) * (2 / columns) - 1.0]
    repeated = ops.concatenate([ops.tile(place, (1, 1, size // 4)) for place in places], axis=-1)
    factors = [2 * math.pi / ROTARY_BASE ** (4 * index / size) for index in range(size // 4)]
    # A layer, because it keeps its factors as constants; a tensor would become an input of an exported graph.
    return ops.expand_dims(layers.Rescaling([*factors, *factors], dtype="float32", name=name)(repeated), 1)


def _rotated(vectors: keras.KerasTensor, angles: keras.KerasTensor) -> keras.KerasTensor:
    """Rotate the queries or keys [N, heads, T, size] of the patches, which are last, by their angles."""
    count, half = angles.shape[2], vectors.shape[-1] // 2
    before, one, other = vectors[:, :, :-count], vectors[:, :, -count:, :half], vectors[:, :, -count:, half:]
    cosine, sine = ops.cast(ops.cos(angles), vectors.dtype), ops.cast(ops.sin(angles), vectors.dtype)
    rotated = ops.concatenate([one * cosine - other * sine, other * cosine + one * sine], axis=-1)
    return ops.concatenate([before, rotated], axis=2) if vectors.shape[2] > count else rotated


def _dropped(x: keras.KerasTensor, rate: float, name: str) -> keras.KerasTensor:
    """Return a branch that training leaves out for some images of a batch."""
    return DropPath(rate, name=name)(x) if rate else x
