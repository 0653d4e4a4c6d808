"""Freezing: choice of the base layers that train, by stage, layer name or number of layers from the top."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from transfercli.errors import ConfigError
from transfercli.models.classifier import Classifier
from transfercli.text import did_you_mean


def trainable_from(classifier: Classifier, unfreeze: int | str) -> list[str]:
    """Return the names of the base layers that train under `unfreeze`, from the input to the top.

    unfreeze: "none", "all", a stage, a layer, or a number of layers from the top; every layer from the first of them
    up to the head trains. Raises `ConfigError` if it is not one of these.
    """
    order = [layer.name for layer in classifier.base.layers]
    if unfreeze == "none" or unfreeze == 0:
        return []
    if unfreeze == "all":
        return order
    if isinstance(unfreeze, int):
        return order[-unfreeze:]
    stages = classifier.stages
    first = stages[unfreeze][0] if unfreeze in stages else unfreeze
    if first not in order:
        guess = did_you_mean(unfreeze, (*stages, *order))
        raise ConfigError(
            f"unfreeze: {classifier.name} has no stage or layer {unfreeze!r}{guess and f'; {guess}'}",
            f"use none, all, a number of layers, one of the stages {', '.join(stages)}, or a layer's name",
        )
    return order[order.index(first) :]


def stage_depths(classifier: Classifier, variables: Sequence[keras.Variable]) -> list[int]:
    """Return the number of stages above each variable's stage; 0 for the uppermost stage and for the head."""
    stages = reversed(list(classifier.stages.values()))
    depth = {
        id(variable): number
        for number, names in enumerate(stages)
        for name in names
        for variable in classifier.base.get_layer(name).variables
    }
    return [depth.get(id(variable), 0) for variable in variables]


def freeze_below(classifier: Classifier, unfreeze: int | str) -> None:
    """Make the base's layers from `unfreeze` upwards trainable, and no others; the head always trains."""
    training = set(trainable_from(classifier, unfreeze))
    classifier.base.trainable = True
    for layer in classifier.base.layers:
        layer.trainable = layer.name in training
