"""Preprocessing of raw RGB pixels, 0 to 255, for a base: built-in Keras layers and operations only.

So the preprocessing is part of every artefact, and plain Keras loads it without custom objects.
"""

from __future__ import annotations

from collections.abc import Callable

import keras
from keras import layers, ops

_CAFFE_MEAN_BGR = (103.939, 116.779, 123.68)
_TORCH_MEAN_RGB = (0.485, 0.456, 0.406)
_TORCH_STD_RGB = (0.229, 0.224, 0.225)
_CLIP_MEAN_RGB = (0.48145466, 0.4578275, 0.40821073)
_CLIP_STD_RGB = (0.26862954, 0.26130258, 0.27577711)
_LUMA = (0.299, 0.587, 0.114)  # ITU-R 601, as Pillow's mode L


def _mean(values: tuple[float, ...], channels: int) -> list[float]:
    """Return one value per channel; for grey images the mean over the colours."""
    return list(values) if channels == 3 else [sum(values) / len(values)]


def _caffe(pixels: keras.KerasTensor, channels: int) -> keras.KerasTensor:
    """Order channels as BGR and subtract ImageNet's mean, without scaling: VGG and the first ResNets."""
    ordered = ops.flip(pixels, axis=-1) if channels == 3 else pixels
    offset = [-value for value in _mean(_CAFFE_MEAN_BGR, channels)]
    return layers.Rescaling(1.0, offset=offset, name="preprocess")(ordered)


def _torch(pixels: keras.KerasTensor, channels: int) -> keras.KerasTensor:
    """Scale to 0 … 1, then subtract ImageNet's mean and divide by its standard deviation."""
    return _standardised(pixels, _mean(_TORCH_MEAN_RGB, channels), _mean(_TORCH_STD_RGB, channels))


def _clip(pixels: keras.KerasTensor, channels: int) -> keras.KerasTensor:
    """Scale to 0 … 1, then subtract the mean of CLIP's training images and divide by their standard deviation."""
    return _standardised(pixels, _mean(_CLIP_MEAN_RGB, channels), _mean(_CLIP_STD_RGB, channels))


def _standardised(pixels: keras.KerasTensor, mean: list[float], std: list[float]) -> keras.KerasTensor:
    scale = [1.0 / (255.0 * s) for s in std]
    offset = [-m / s for m, s in zip(mean, std, strict=True)]
    return layers.Rescaling(scale, offset=offset, name="preprocess")(pixels)


def _symmetric(pixels: keras.KerasTensor, channels: int) -> keras.KerasTensor:
    """Scale to -1 … 1."""
    return layers.Rescaling(1 / 127.5, offset=-1.0, name="preprocess")(pixels)


def _lite(pixels: keras.KerasTensor, channels: int) -> keras.KerasTensor:
    """Subtract 127 and divide by 128: EfficientNet-Lite, for integer arithmetic."""
    return layers.Rescaling(1 / 128, offset=-127 / 128, name="preprocess")(pixels)


def _unit(pixels: keras.KerasTensor, channels: int) -> keras.KerasTensor:
    """Scale to 0 … 1."""
    return layers.Rescaling(1 / 255.0, name="preprocess")(pixels)


def _included(pixels: keras.KerasTensor, channels: int) -> keras.KerasTensor:
    """Return pixels of 0 … 255 unscaled: the base does its own preprocessing."""
    return layers.Rescaling(1.0, name="preprocess")(pixels)


PREPROCESSING: dict[str, Callable[[keras.KerasTensor, int], keras.KerasTensor]] = {
    "caffe": _caffe,
    "torch": _torch,
    "clip": _clip,
    "symmetric": _symmetric,
    "lite": _lite,
    "unit": _unit,
    "included": _included,
}


def preprocess(pixels: keras.KerasTensor, mode: str, channels: int) -> keras.KerasTensor:
    """Return float [N, H, W, `channels`] of uint8 or float pixels [N, H, W, 3], 0 to 255, by the row `mode`."""
    if channels == 1:
        # A layer, because it keeps its factors as constants; a tensor would become an input of an exported graph.
        weighted = layers.Rescaling(list(_LUMA), dtype="float32", name="luma")(pixels)
        pixels = ops.sum(weighted, axis=-1, keepdims=True)
    return PREPROCESSING[mode](pixels, channels)
