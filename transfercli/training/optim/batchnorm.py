"""BatchNorm that keeps up with short trainings."""

from __future__ import annotations

import keras

from transfercli.models.keras_internals import inner_layers

Momenta = dict[keras.layers.BatchNormalization, float]


def momenta_of(base: keras.Model) -> Momenta:
    """The BatchNorm layers of a base, nested ones included, and the momentum of each."""
    return {layer: layer.momentum for layer in inner_layers(base) if isinstance(layer, keras.layers.BatchNormalization)}


def fit_momentum(published: Momenta, steps_per_epoch: int, epochs: int) -> None:
    """Shorten the memory of BatchNorm's moving statistics to what a phase can fill.

    Keras's momentum of 0.99 remembers about a hundred steps; where a whole phase has few more, validation runs
    with statistics of the random start. The memory, 1/(1-momentum) steps, becomes at most an epoch and at most a
    twentieth of the phase, but never less than four steps.

    published: the momenta that the layers came with, so that nothing follows from the phases before: a run that is
    resumed does not go through those again.
    """
    steps = max(4.0, min(steps_per_epoch, steps_per_epoch * epochs / 20))
    for layer, momentum in published.items():
        layer.momentum = min(momentum, 1.0 - 1.0 / steps)
