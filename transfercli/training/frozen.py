"""Weights that a training never changes; a run stores them once instead of in every epoch's checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras

from transfercli.models.classifier import Classifier
from transfercli.models.freezing import trainable_from
from transfercli.models.keras_internals import inner_layers
from transfercli.models.tensor_names import named_variables

if TYPE_CHECKING:
    from transfercli.training.progress import Plan


def trained_layers(classifier: Classifier, plan: Plan) -> set[str]:
    """Return the names of the base's layers that any phase trains."""
    return {name for phase in plan.phases for name in trainable_from(classifier, phase.unfreeze)}


def constant_tensors(classifier: Classifier, plan: Plan) -> frozenset[str]:
    """Return the names of the base's tensors that no phase changes, by gradients or BatchNorm statistics."""
    trained = trained_layers(classifier, plan)
    changing: set[int] = set()
    for layer in classifier.base.layers:
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
