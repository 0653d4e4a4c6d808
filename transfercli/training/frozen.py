"""Weights that a training never changes; a run stores them once instead of in every epoch's checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras

from transfercli.models.classifier import Classifier
from transfercli.models.keras_internals import inner_layers
from transfercli.models.tensor_names import named_variables
from transfercli.models.trainable.freezing import trainable_from
from transfercli.models.trainable.lora import adaptable_layers

if TYPE_CHECKING:
    from transfercli.training.phases import Phase, Unfreeze
    from transfercli.training.progress import Plan


def layers_of(classifier: Classifier, phase: Phase) -> list[str]:
    """Return the names of the base's layers that a phase trains or adapts, from the input to the top.

    Raises `ConfigError` if the base lacks a layer that the phase names.
    """
    if phase.lora is None:
        return trainable_from(classifier, phase.unfreeze)
    return adaptable_layers(classifier, phase.unfreeze, phase.lora.layers)


def lowest_trained(classifier: Classifier, phase: Phase) -> Unfreeze:
    """Return the lowest part of the base that a phase changes: with LoRA, its lowest adapted layer."""
    return phase.unfreeze if phase.lora is None else layers_of(classifier, phase)[0]


def trained_layers(classifier: Classifier, plan: Plan) -> set[str]:
    """Return the names of the base's layers that any phase trains or adapts."""
    return {name for phase in plan.phases for name in layers_of(classifier, phase)}


def constant_tensors(classifier: Classifier, plan: Plan) -> frozenset[str]:
    """Return the names of the base's tensors that no phase changes, by gradients or BatchNorm statistics."""
    trained = {name for phase in plan.phases if phase.lora is None for name in layers_of(classifier, phase)}
    adapted = {name for phase in plan.phases if phase.lora is not None for name in layers_of(classifier, phase)}
    changing: set[int] = set()
    for layer in classifier.base.layers:
        if layer.name in adapted:
            changing |= {id(v) for v in layer.weights if v.name == "kernel"}
        if layer.name not in trained:
            continue
        inner = [layer, *inner_layers(layer)]
        norms = [layer for layer in inner if isinstance(layer, keras.layers.BatchNormalization)]
        constant = (
            [] if plan.batchnorm_trains else [v for norm in norms for v in (norm.moving_mean, norm.moving_variance)]
        )
        changing |= {id(v) for v in layer.weights} - {id(v) for v in constant}
    return frozenset(
        name for name, v in named_variables(classifier).items() if name.startswith("base/") and id(v) not in changing
    )
