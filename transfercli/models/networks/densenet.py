"""DenseNets of Huang et al. 2017 of other widths than those of keras.applications, with the same names of layers."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import layers

from transfercli.models.networks.arguments import check_random_weights

Shape = tuple[int, int, int]
BOTTLENECK = 4  # a 1x1 convolution has so many times the filters of the 3x3 convolution after it
EPSILON = 1.001e-5  # of BatchNorm, as keras.applications has it


def densenet(
    weights: None = None,
    include_top: bool = False,
    input_shape: Shape = (224, 224, 3),
    *,
    name: str,
    blocks: Sequence[int],
    growth: int,
) -> keras.Model:
    """Build a DenseNet-BC: a 7x7 stem, then dense blocks with a transition, which halves channels and size, between.

    blocks: number of layers in each dense block. growth: number of channels that each layer adds; the stem has twice
    as many.
    """
    check_random_weights(weights, include_top, name)
    image = layers.Input(input_shape, name="image")
    x = layers.ZeroPadding2D(3, name="conv1_pad")(image)
    x = _convolution(x, 2 * growth, 7, "conv1_conv", strides=2)
    x = _activated(x, "conv1")
    x = layers.ZeroPadding2D(1, name="pool1_pad")(x)
    x = layers.MaxPooling2D(3, 2, name="pool1")(x)
    for stage, count in enumerate(blocks, start=2):
        for number in range(1, count + 1):
            x = _dense_layer(x, growth, f"conv{stage}_block{number}")
        if stage <= len(blocks):
            x = _activated(x, f"pool{stage}")
            x = _convolution(x, x.shape[-1] // 2, 1, f"pool{stage}_conv")
            x = layers.AveragePooling2D(2, name=f"pool{stage}_pool")(x)
    x = layers.BatchNormalization(epsilon=EPSILON, name="bn")(x)
    x = layers.Activation("relu", name="relu")(x)
    return keras.Model(image, x, name=name)


def _dense_layer(x: keras.KerasTensor, growth: int, name: str) -> keras.KerasTensor:
    y = _activated(x, f"{name}_0")
    y = _convolution(y, BOTTLENECK * growth, 1, f"{name}_1_conv")
    y = _activated(y, f"{name}_1")
    y = _convolution(y, growth, 3, f"{name}_2_conv", padding="same")
    return layers.Concatenate(name=f"{name}_concat")([x, y])


def _activated(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    x = layers.BatchNormalization(epsilon=EPSILON, name=f"{name}_bn")(x)
    return layers.Activation("relu", name=f"{name}_relu")(x)


def _convolution(
    x: keras.KerasTensor, filters: int, size: int, name: str, strides: int = 1, padding: str = "valid"
) -> keras.KerasTensor:
    return layers.Conv2D(
        filters, size, strides, padding=padding, use_bias=False, kernel_initializer="he_normal", name=name
    )(x)
