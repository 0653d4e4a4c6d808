"""Networks that keras.applications lacks, built by functions of the same signature as its own."""

from __future__ import annotations

import keras
from keras import layers

Shape = tuple[int, int, int]


def small_cnn(weights: None = None, include_top: bool = False, input_shape: Shape = (32, 32, 3)) -> keras.Model:
    """Build three 3x3 convolutions of 32, 64 and 64 filters with max pooling between, as in the CIFAR-10 tutorials."""
    _check_random_weights(weights, include_top, "small_cnn")
    image = layers.Input(input_shape, name="image")
    x = layers.Conv2D(32, 3, activation="relu", name="conv1")(image)
    x = layers.MaxPooling2D(name="pool1")(x)
    x = layers.Conv2D(64, 3, activation="relu", name="conv2")(x)
    x = layers.MaxPooling2D(name="pool2")(x)
    x = layers.Conv2D(64, 3, activation="relu", name="conv3")(x)
    return keras.Model(image, x, name="small_cnn")


def resnet18(weights: None = None, include_top: bool = False, input_shape: Shape = (224, 224, 3)) -> keras.Model:
    """Build ResNet-18 of He et al. 2016: a 7x7 stem, then two basic blocks each of 64, 128, 256 and 512 filters.

    Convolutions have no bias (BatchNorm follows each), the shortcut is projected if the shape changes (option B), and
    kernels start from He's normal initialisation.
    """
    _check_random_weights(weights, include_top, "resnet18")
    image = layers.Input(input_shape, name="image")
    x = layers.ZeroPadding2D(3, name="conv1_pad")(image)
    x = _convolution(x, 64, 7, 2, "conv1", padding="valid")
    x = layers.Activation("relu", name="conv1_relu")(x)
    x = layers.ZeroPadding2D(1, name="conv1_pool_pad")(x)
    x = layers.MaxPooling2D(3, 2, name="conv1_pool")(x)
    for stage, filters in enumerate((64, 128, 256, 512), start=2):
        for block in (1, 2):
            stride = 2 if stage > 2 and block == 1 else 1
            x = _basic_block(x, filters, stride, f"conv{stage}_block{block}")
    return keras.Model(image, x, name="resnet18")


def _basic_block(x: keras.KerasTensor, filters: int, stride: int, name: str) -> keras.KerasTensor:
    shortcut = x
    if stride != 1 or x.shape[-1] != filters:
        shortcut = _convolution(x, filters, 1, stride, f"{name}_0")
    x = _padded_convolution(x, filters, stride, f"{name}_1")
    x = layers.Activation("relu", name=f"{name}_1_relu")(x)
    x = _padded_convolution(x, filters, 1, f"{name}_2")
    x = layers.Add(name=f"{name}_add")([shortcut, x])
    return layers.Activation("relu", name=f"{name}_out")(x)


def _padded_convolution(x: keras.KerasTensor, filters: int, stride: int, name: str) -> keras.KerasTensor:
    """Add a 3x3 convolution padded by one on every side, as published; Keras's "same" pads unevenly at stride 2."""
    if stride == 1:
        return _convolution(x, filters, 3, 1, name, padding="same")
    return _convolution(layers.ZeroPadding2D(1, name=f"{name}_pad")(x), filters, 3, stride, name, padding="valid")


def _convolution(
    x: keras.KerasTensor, filters: int, size: int, stride: int, name: str, padding: str = "valid"
) -> keras.KerasTensor:
    x = layers.Conv2D(
        filters, size, stride, padding=padding, use_bias=False, kernel_initializer="he_normal", name=f"{name}_conv"
    )(x)
    return layers.BatchNormalization(epsilon=1e-5, momentum=0.9, name=f"{name}_bn")(x)


def _check_random_weights(weights: None, include_top: bool, name: str) -> None:
    if weights is not None or include_top:
        raise ValueError(f"{name} has no published Keras weights and no top; received weights={weights!r}")
