"""VGGs of Simonyan & Zisserman 2015, as PyTorch's libraries build them: with or without BatchNorm."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import layers

from transfercli.models.networks.arguments import check_random_weights

Shape = tuple[int, int, int]
WIDTHS = (64, 128, 256, 512, 512)  # filters of the five blocks


def vgg(
    weights: None = None,
    include_top: bool = False,
    input_shape: Shape = (224, 224, 3),
    *,
    name: str,
    blocks: Sequence[int],
    batch_norm: bool,
) -> keras.Model:
    """Build a VGG: five blocks of 3x3 convolutions, each followed by max pooling.

    Its layers are named `block1_1_conv`, unlike those of keras.applications (`block1_conv1`): the weights of one were
    learnt from other pixels than those of the other.

    blocks: number of convolutions in each block. batch_norm: a BatchNorm follows each convolution, which has a bias.
    """
    check_random_weights(weights, include_top, name)
    image = layers.Input(input_shape, name="image")
    x = image
    for block, (count, width) in enumerate(zip(blocks, WIDTHS, strict=True), start=1):
        for number in range(1, count + 1):
            prefix = f"block{block}_{number}"
            x = layers.Conv2D(width, 3, padding="same", kernel_initializer="he_normal", name=f"{prefix}_conv")(x)
            if batch_norm:
                x = layers.BatchNormalization(epsilon=1e-5, momentum=0.9, name=f"{prefix}_bn")(x)
            x = layers.Activation("relu", name=f"{prefix}_relu")(x)
        x = layers.MaxPooling2D(2, name=f"block{block}_pool")(x)
    return keras.Model(image, x, name=name)
