"""BatchNorm momentum for short trainings."""

from __future__ import annotations

import keras

from transfercli.models.keras_internals import inner_layers

Momenta = dict[keras.layers.BatchNormalization, float]


def momenta_of(base: keras.Model) -> Momenta:
    """Return the momentum of each BatchNorm layer of a base, nested ones included."""
    return {layer: layer.momentum for layer in inner_layers(base) if isinstance(layer, keras.layers.BatchNormalization)}


def fit_momentum(published: Momenta, steps_per_epoch: int, epochs: int) -> None:
    """Lower the momentum of BatchNorm's moving statistics to fit the number of steps in a phase.

    Keras's momentum of 0.99 averages over about a hundred steps; in a phase of few more, validation would use
    statistics of the initial weights. The average over 1/(1-momentum) steps becomes at most an epoch and at most a
    twentieth of the phase, but at least four steps.

    published: the momenta of the network as published, so that the result does not depend on earlier phases: a
    resumed run does not repeat those.
    """
    steps = max(4.0, min(steps_per_epoch, steps_per_epoch * epochs / 20))
    for layer, momentum in published.items():
        layer.momentum = min(momentum, 1.0 - 1.0 / steps)
