"""ResNets of He et al. 2016 and their successors, as PyTorch's libraries build them.

In a bottleneck the stride is in the 3x3 convolution (version 1.5; Goyal et al. 2017), padding is symmetric and the
epsilon of BatchNorm is 1e-5. keras.applications has version 1: the stride is in the first 1x1 convolution. So the
weights of one give wrong features in the other, although every tensor has the same shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import keras
from keras import layers

from transfercli.models.networks.arguments import check_random_weights

Shape = tuple[int, int, int]
WIDTHS = (64, 128, 256, 512)  # filters of the 3x3 convolutions of the four stages
EXPANSION = 4  # a bottleneck has so many more output channels


def resnet(
    weights: None = None,
    include_top: bool = False,
    input_shape: Shape = (224, 224, 3),
    *,
    name: str,
    blocks: Sequence[int],
    block: Literal["basic", "bottleneck"],
    groups: int = 1,
    group_width: int = 64,
) -> keras.Model:
    """Build a ResNet: a 7x7 stem, then four stages of residual blocks.

    Convolutions have no bias (BatchNorm follows each), the shortcut is projected if the shape changes (option B), and
    kernels start from He's normal initialisation.

    blocks: number of blocks in each stage.
    groups, group_width: of the bottlenecks' 3x3 convolutions: 32 and 4 in ResNeXt-50 (Xie et al. 2017), 1 and 128 in
    the wide ResNets (Zagoruyko & Komodakis 2016). The first stage has `groups * group_width` filters.
    """
    check_random_weights(weights, include_top, name)
    image = layers.Input(input_shape, name="image")
    x = layers.ZeroPadding2D(3, name="conv1_pad")(image)
    x = _convolution(x, 64, 7, 2, "conv1", padding="valid")
    x = layers.Activation("relu", name="conv1_relu")(x)
    x = layers.ZeroPadding2D(1, name="conv1_pool_pad")(x)
    x = layers.MaxPooling2D(3, 2, name="conv1_pool")(x)
    for stage, (count, width) in enumerate(zip(blocks, WIDTHS, strict=True), start=2):
        for number in range(1, count + 1):
            stride = 2 if stage > 2 and number == 1 else 1
            prefix = f"conv{stage}_block{number}"
            if block == "basic":
                x = _basic_block(x, width, stride, prefix)
            else:
                x = _bottleneck(x, width, stride, prefix, groups, groups * group_width * width // WIDTHS[0])
    return keras.Model(image, x, name=name)


def _basic_block(x: keras.KerasTensor, filters: int, stride: int, name: str) -> keras.KerasTensor:
    shortcut = _shortcut(x, filters, stride, name)
    x = _padded_convolution(x, filters, stride, f"{name}_1")
    x = layers.Activation("relu", name=f"{name}_1_relu")(x)
    x = _padded_convolution(x, filters, 1, f"{name}_2")
    x = layers.Add(name=f"{name}_add")([shortcut, x])
    return layers.Activation("relu", name=f"{name}_out")(x)


def _bottleneck(
    x: keras.KerasTensor, filters: int, stride: int, name: str, groups: int, inner: int
) -> keras.KerasTensor:
    """Add a bottleneck. inner: number of filters of its 3x3 convolution."""
    shortcut = _shortcut(x, EXPANSION * filters, stride, name)
    x = _convolution(x, inner, 1, 1, f"{name}_1")
    x = layers.Activation("relu", name=f"{name}_1_relu")(x)
    x = _padded_convolution(x, inner, stride, f"{name}_2", groups)
    x = layers.Activation("relu", name=f"{name}_2_relu")(x)
    x = _convolution(x, EXPANSION * filters, 1, 1, f"{name}_3")
    x = layers.Add(name=f"{name}_add")([shortcut, x])
    return layers.Activation("relu", name=f"{name}_out")(x)


def _shortcut(x: keras.KerasTensor, filters: int, stride: int, name: str) -> keras.KerasTensor:
    if stride != 1 or x.shape[-1] != filters:
        return _convolution(x, filters, 1, stride, f"{name}_0")
    return x


def _padded_convolution(
    x: keras.KerasTensor, filters: int, stride: int, name: str, groups: int = 1
) -> keras.KerasTensor:
    """Add a 3x3 convolution padded by one on every side, as published; Keras's "same" pads unevenly at stride 2."""
    if stride == 1:
        return _convolution(x, filters, 3, 1, name, padding="same", groups=groups)
    return _convolution(layers.ZeroPadding2D(1, name=f"{name}_pad")(x), filters, 3, stride, name, groups=groups)


def _convolution(
    x: keras.KerasTensor, filters: int, size: int, stride: int, name: str, padding: str = "valid", groups: int = 1
) -> keras.KerasTensor:
    x = layers.Conv2D(
        filters,
        size,
        stride,
        padding=padding,
        groups=groups,
        use_bias=False,
        kernel_initializer="he_normal",
        name=f"{name}_conv",
    )(x)
    return layers.BatchNormalization(epsilon=1e-5, momentum=0.9, name=f"{name}_bn")(x)
