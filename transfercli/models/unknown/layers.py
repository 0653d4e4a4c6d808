"""The out-of-distribution score as layers, for the graph of an exported artefact, and the features that it needs.

All layers and operations are Keras' own, so that every format can represent them.
"""

from __future__ import annotations

import keras
import numpy as np
from keras import layers, ops

from transfercli.errors import ArtefactError
from transfercli.models.classifier import Classifier
from transfercli.models.unknown.features import base_outputs, score_feature_layers
from transfercli.models.unknown.file import HINT
from transfercli.models.unknown.score import (
    BACKGROUND,
    CLASS,
    ENERGY,
    LEAST_SQUARE,
    NEIGHBOUR,
    Space,
    UnknownScore,
)

OUTPUT = "unknown"


def scored_model(classifier: Classifier, score: UnknownScore) -> keras.Model:
    """Build the model pixels uint8 [N, H, W, 3] -> float32 [N, C + 1], or [N, 2]: logits, then the score.

    It shares all layers with the classifier's `model`. Raises `ArtefactError` if the score is of another base.
    """
    model = classifier.model
    features = score_feature_layers(classifier.head, base_outputs(classifier), score)
    unknown = score_of(score, features, model.output)
    output = layers.Concatenate(dtype="float32", name="logits_and_unknown")([model.output, unknown[:, None]])
    return keras.Model(model.input, output, name="scored")


def score_of(score: UnknownScore, features: keras.KerasTensor, logits: keras.KerasTensor) -> keras.KerasTensor:
    """Return the symbolic score float32 [N] for features [N, D] and logits [N, C], or [N, 1] of a sigmoid head."""
    if score.space is not None and len(score.space.mean) != features.shape[-1]:
        raise ArtefactError(
            f"the out-of-distribution score is of {len(score.space.mean)} features, and the base has"
            f" {features.shape[-1]}",
            HINT,
        )
    parts = [_scaled(_energy(logits), score.weights[ENERGY])] if score.weights.get(ENERGY) else []
    if score.space is not None:
        coordinates = _coordinates(score.space, features)
        for name, build in _DISTANCES.items():
            if weight := score.weights.get(name):
                parts.append(_scaled(build(score.space, coordinates), weight))
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return layers.Reshape((), name=OUTPUT, dtype="float32")(total)


def _scaled(value: keras.KerasTensor, factor: float) -> keras.KerasTensor:
    return value if factor == 1 else value * float(factor)


def _energy(logits: keras.KerasTensor) -> keras.KerasTensor:
    if logits.shape[-1] == 1:  # two classes, symmetric around 0
        logits = layers.Concatenate(name="unknown_logits", dtype="float32")([logits * -0.5, logits * 0.5])
    top = ops.max(logits, axis=1, keepdims=True)
    return -(top[:, 0] + ops.log(ops.sum(ops.exp(logits - top), axis=1)))


def _coordinates(space: Space, features: keras.KerasTensor) -> keras.KerasTensor:
    unit = layers.UnitNormalization(axis=-1, name="unknown_unit", dtype="float32")(features)
    on_plane = _linear("unknown_axes", space.axes, -space.mean @ space.axes, unit)
    if not space.off_plane:
        return on_plane
    # |unit - mean|^2, whose product with the mean is a layer, as its numbers are weights there
    to_mean = _linear("unknown_mean", -2 * space.mean[:, None], np.square(space.mean).sum(keepdims=True), unit)
    squares = _squares(unit) + to_mean - _squares(on_plane)
    return layers.Concatenate(name="unknown_coordinates", dtype="float32")(
        [on_plane, ops.sqrt(ops.relu(squares) + LEAST_SQUARE)]
    )


def _neighbour(space: Space, coordinates: keras.KerasTensor) -> keras.KerasTensor:
    return ops.sqrt(ops.relu(_nearest("unknown_neighbours", space.neighbours, coordinates)) + LEAST_SQUARE)


def _class(space: Space, coordinates: keras.KerasTensor) -> keras.KerasTensor:
    whitened = _linear("unknown_within", space.within, -space.origin @ space.within, coordinates)
    return ops.relu(_nearest("unknown_centres", space.centres, whitened))


def _background(space: Space, coordinates: keras.KerasTensor) -> keras.KerasTensor:
    return _squares(_linear("unknown_total", space.total, -space.origin @ space.total, coordinates))[:, 0]


_DISTANCES = {NEIGHBOUR: _neighbour, CLASS: _class, BACKGROUND: _background}


def _nearest(name: str, points: np.ndarray, x: keras.KerasTensor) -> keras.KerasTensor:
    """Return the squared distance [N] of each row of `x` [N, P] from the nearest of `points` [M, P]."""
    distances = _linear(name, -2 * points.T, np.square(points.astype(np.float64)).sum(axis=1), x) + _squares(x)
    return ops.min(distances, axis=1)


def _squares(x: keras.KerasTensor) -> keras.KerasTensor:
    return ops.sum(ops.square(x), axis=1, keepdims=True)


def _linear(name: str, kernel: np.ndarray, bias: np.ndarray, x: keras.KerasTensor) -> keras.KerasTensor:
    layer = layers.Dense(kernel.shape[1], name=name, dtype="float32")
    output = layer(x)
    layer.set_weights([kernel.astype("float32"), bias.astype("float32")])
    return output
