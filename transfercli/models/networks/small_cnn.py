"""Small CNN of the CIFAR-10 tutorials."""

from __future__ import annotations

import keras
from keras import layers

from transfercli.models.networks.arguments import check_random_weights

Shape = tuple[int, int, int]


def small_cnn(weights: None = None, include_top: bool = False, input_shape: Shape = (32, 32, 3)) -> keras.Model:
    """Build three 3x3 convolutions of 32, 64 and 64 filters with max pooling between, as in the CIFAR-10 tutorials."""
    check_random_weights(weights, include_top, "small_cnn")
    image = layers.Input(input_shape, name="image")
    x = layers.Conv2D(32, 3, activation="relu", name="conv1")(image)
    x = layers.MaxPooling2D(name="pool1")(x)
    x = layers.Conv2D(64, 3, activation="relu", name="conv2")(x)
    x = layers.MaxPooling2D(name="pool2")(x)
    x = layers.Conv2D(64, 3, activation="relu", name="conv3")(x)
    return keras.Model(image, x, name="small_cnn")
