"""Which weights a training never changes; they are kept once a run instead of once an epoch."""

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
    """Names of the base's layers that some phase trains."""
    return {name for phase in plan.phases for name in trainable_from(classifier, phase.unfreeze)}


def never_changing(classifier: Classifier, plan: Plan) -> frozenset[str]:
    """Names of the base's tensors that no phase trains, and whose statistics no phase moves."""
    trained = trained_layers(classifier, plan)
    moving: set[int] = set()
    for layer in classifier.base.layers:
        if layer.name not in trained:
            continue
        inner = [layer, *inner_layers(layer)]
        still = [] if plan.batchnorm_trains else [i for i in inner if isinstance(i, keras.layers.BatchNormalization)]
        fixed = {id(v) for norm in still for v in (norm.moving_mean, norm.moving_variance)}
        moving |= {id(v) for v in layer.weights} - fixed
    return frozenset(
        name for name, v in named_variables(classifier).items() if name.startswith("base/") and id(v) not in moving
    )
