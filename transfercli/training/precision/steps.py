"""Precision of training steps: in bfloat16 if the processor has it and the trained network gains from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras

from transfercli.config.schema import ComputeConfig
from transfercli.models.classifier import Classifier
from transfercli.models.keras_internals import graph_nodes, inner_layers
from transfercli.models.multiplications import multiplications_of
from transfercli.models.passes.batch_size import activation_bytes
from transfercli.models.surgery import cut_below
from transfercli.training.frozen import lowest_trained
from transfercli.training.precision.native import processor_has_bfloat16

if TYPE_CHECKING:
    from collections.abc import Sequence

    from transfercli.training.phases import Phase

# Counts of an image's forward pass from which steps in bfloat16 are faster, measured by `benchmarks/step_precision.py`.
# Only whole convolutions count: depthwise ones and the normalisation of attention gain nothing.
LEAST_MULTIPLICATIONS = 1e8
LEAST_PER_ACTIVATION = 50


def step_precision(
    compute: ComputeConfig, classifier: Classifier, phases: Sequence[Phase], *, batchnorm_trains: bool = False
) -> str:
    """Return the precision of a plan's training steps, `float32` or `bfloat16`.

    auto is bfloat16 with TensorFlow on a processor that multiplies in it, if the network has convolutions enough both
    in all and above the lowest layer that a phase trains, and BatchNorm keeps its statistics. The counts are the same
    on every machine, so a repeated run decides the same.
    """
    if compute.precision != "auto":
        return compute.precision
    if batchnorm_trains or not _computes_in_tensorflow_on_the_processor() or not processor_has_bfloat16():
        return "float32"
    base, trained = classifier.base, [phase for phase in phases if phase.kind == "train" and phase.lora is None]
    counted = convolutions(base)
    if counted < LEAST_MULTIPLICATIONS or counted < LEAST_PER_ACTIVATION * activation_bytes(base) // 4:
        return "float32"
    most = max((_trained_convolutions(classifier, phase, counted) for phase in trained), default=0.0)
    return "bfloat16" if most >= LEAST_MULTIPLICATIONS else "float32"


def convolutions(model: keras.Model) -> float:
    """Return the multiplications of a model's convolutions for one image, without depthwise and grouped ones."""
    models = [model, *(layer for layer in inner_layers(model) if isinstance(layer, keras.Function))]
    nodes = {id(node.operation): node for one in models for node in graph_nodes(one)}.values()
    whole = (keras.layers.Conv2D,)
    return sum(multiplications_of(n) for n in nodes if isinstance(n.operation, whole) and n.operation.groups == 1)


def _trained_convolutions(classifier: Classifier, phase: Phase, total: float) -> float:
    """Return the multiplications of the convolutions above the lowest layer that a phase trains."""
    cut = cut_below(classifier, lowest_trained(classifier, phase))
    return total if cut is None else total - convolutions(cut.prefix)


def _computes_in_tensorflow_on_the_processor() -> bool:
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return not tf.config.get_visible_devices("GPU")
