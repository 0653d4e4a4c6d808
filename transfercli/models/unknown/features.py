"""Features that an out-of-distribution score reads: the last ones of the base, or those of its taps.

The last features of a network keep little that does not tell the classes of its training apart. Those of the taps
below them, each normalised, separated left-out classes better, alone as well as together with the last
(benchmarks/RESULTS.md).
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np

from transfercli.models.classifier import Classifier
from transfercli.models.keras_internals import graph_nodes
from transfercli.models.normalised import Normalisation, normalised, side_by_side
from transfercli.models.pooling import TAP, feature_layers, features_of_pooled, poolings_of, unshared
from transfercli.models.unknown.score import UnknownScore

NORMALISATION: Normalisation = "root"


def score_features(head: keras.Model, pooled: np.ndarray, taps: bool) -> np.ndarray:
    """Return features float32 [N, D] from the output of the head's poolings, [N, p].

    taps: as `UnknownScore.taps`; the head must have some.
    """
    if not taps:
        return features_of_pooled(head, pooled)
    widths = [pooling.output.shape[-1] for pooling in poolings_of(head)[:-1]]
    return normalised(pooled[:, : sum(widths)].astype("float32", copy=False), widths, NORMALISATION)


def score_feature_layers(
    head: keras.Model, outputs: Sequence[keras.KerasTensor], score: UnknownScore
) -> keras.KerasTensor:
    """Return the features [N, D] that the score reads, of the outputs of a trunk; the layers are new ones."""
    read = zip(head.inputs, poolings_of(head), outputs, strict=True)
    taps = [(pooling, x) for tap, pooling, x in read if tap.name.startswith(TAP)]  # an average has others, too
    if not (score.taps and taps):
        return feature_layers(head, outputs[-1])
    vectors = [unshared(pooling, x) for pooling, x in taps]
    return side_by_side(vectors, NORMALISATION, "feature_")


def base_outputs(classifier: Classifier) -> list[keras.KerasTensor]:
    """Return what the head reads in the graph of a classifier's `model`: the outputs of its trunk."""
    return next(node for node in graph_nodes(classifier.model) if node.operation is classifier.head).input_tensors


def with_base_features(classifier: Classifier, model: keras.Model) -> keras.Model:
    """Build the model pixels uint8 [N, H, W, 3] -> the output of `model`, and features float32 [N, D].

    model: `classifier.model`, or one that shares its layers. The features are those of the base's output, as
    `features_of_pooled` gives them.
    """
    base_output = base_outputs(classifier)[-1]
    copy = keras.Input(base_output.shape[1:], dtype=base_output.dtype)  # a model of its own: names of layers recur
    pooling = keras.Model(copy, feature_layers(classifier.head, copy), name="base_features")
    return keras.Model(model.input, [model.output, pooling(base_output)], name="with_features")
