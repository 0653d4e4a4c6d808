"""BatchNorm that keeps up with short trainings."""

from __future__ import annotations

import keras


def fit_momentum(base: keras.Model, steps_per_epoch: int, epochs: int) -> None:
    """Shorten the memory of BatchNorm's moving statistics to what the training can fill.

    Keras's momentum of 0.99 remembers about a hundred steps; where a whole training has few more, validation runs
    with statistics of the random start. The memory, 1/(1-momentum) steps, becomes at most an epoch and at most a
    twentieth of the training, but never less than four steps.
    """
    steps = max(4.0, min(steps_per_epoch, steps_per_epoch * epochs / 20))
    for layer in base._flatten_layers(include_self=False):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = min(layer.momentum, 1.0 - 1.0 / steps)
