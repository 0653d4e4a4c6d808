"""From raw RGB pixels, 0 to 255, to what a base was trained on: built-in Keras layers and operations only.

That keeps the preprocessing inside every artefact, and lets plain Keras load it without custom objects.
"""

from __future__ import annotations

from collections.abc import Callable

import keras
from keras import layers, ops

_CAFFE_MEAN_BGR = (103.939, 116.779, 123.68)
_TORCH_MEAN_RGB = (0.485, 0.456, 0.406)
_TORCH_STD_RGB = (0.229, 0.224, 0.225)
_LUMA = (0.299, 0.587, 0.114)  # ITU-R 601, as Pillow's mode L


def _mean(values: tuple[float, ...], channels: int) -> list[float]:
    """One value a channel; a grey image gets the average of the colours'."""
    return list(values) if channels == 3 else [sum(values) / len(values)]


def _caffe(pixels: keras.KerasTensor, channels: int) -> keras.KerasTensor:
    """Blue first, ImageNet's mean taken off, no scaling: VGG and the first ResNets."""
    ordered = ops.flip(pixels, axis=-1) if channels == 3 else pixels
    offset = [-value for value in _mean(_CAFFE_MEAN_BGR, channels)]
    return layers.Rescaling(1.0, offset=offset, name="preprocess")(ordered)


def _torch(pixels: keras.KerasTensor, channels: int) -> keras.KerasTensor:
    mean, std = _mean(_TORCH_MEAN_RGB, channels), _mean(_TORCH_STD_RGB, channels)
    scale = [1.0 / (255.0 * s) for s in std]
    offset = [-m / s for m, s in zip(mean, std, strict=True)]
    return layers.Rescaling(scale, offset=offset, name="preprocess")(pixels)


def _symmetric(pixels: keras.KerasTensor, channels: int) -> keras.KerasTensor:
    """To -1 … 1."""
    return layers.Rescaling(1 / 127.5, offset=-1.0, name="preprocess")(pixels)


def _unit(pixels: keras.KerasTensor, channels: int) -> keras.KerasTensor:
    """To 0 … 1."""
    return layers.Rescaling(1 / 255.0, name="preprocess")(pixels)


def _included(pixels: keras.KerasTensor, channels: int) -> keras.KerasTensor:
    """The base does it itself and wants 0 … 255."""
    return layers.Rescaling(1.0, name="preprocess")(pixels)


PREPROCESSING: dict[str, Callable[[keras.KerasTensor, int], keras.KerasTensor]] = {
    "caffe": _caffe,
    "torch": _torch,
    "symmetric": _symmetric,
    "unit": _unit,
    "included": _included,
}


def preprocess(pixels: keras.KerasTensor, mode: str, channels: int) -> keras.KerasTensor:
    """`pixels` uint8 or float [N, H, W, 3], 0 to 255, to float [N, H, W, `channels`] by a row of the table."""
    if channels == 1:
        # A layer keeps its factors as constants; a tensor made here would become an input of an exported graph.
        weighted = layers.Rescaling(list(_LUMA), dtype="float32", name="luma")(pixels)
        pixels = ops.sum(weighted, axis=-1, keepdims=True)
    return PREPROCESSING[mode](pixels, channels)
