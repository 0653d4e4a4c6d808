"""Cut of a classifier in two: a frozen prefix, images to features, and the part that trains on the features.

At most cuts one tensor passes. Every cell of a NASNet reads the two cells before it, so that two pass at any cut of it;
they are carried in one array of features, one behind the other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import keras
from keras import ops

from transfercli.models.bases import BASES
from transfercli.models.batchnorm_folding import fold
from transfercli.models.classifier import Classifier
from transfercli.models.keras_internals import (
    call_with_replacements,
    graph_nodes,
    producer_of,
)
from transfercli.models.multiplications import multiplications, multiplications_of
from transfercli.models.pooling import POOL, pooled, pooling_key
from transfercli.models.preprocessing import preprocess
from transfercli.models.trainable.freezing import trainable_from


@dataclass(frozen=True)
class Cut:
    """Classifier cut in two; both parts share their layers with it, so nothing has to be copied back.

    last_layer: name of the last layer, or bare operation, of the prefix; `pool` if it contains the whole base.
    key: text that identifies base and cut, the same in every process.
    prefix: raw pixels [N, H, W, 3] -> features [N, …]; none of its layers trains.
    body: features -> the base's output; None if the prefix contains the whole base.
    top: the base's output, or the pooled vector if there is no body -> logits.
    """

    last_layer: str
    key: str
    prefix: keras.Model
    body: keras.Model | None
    top: keras.Model

    @property
    def feature_shape(self) -> tuple[int, ...]:
        """Shape of the features of one image."""
        return tuple(self.prefix.output.shape[1:])


# A second tensor is carried if the prefix then grows by more than this share of the base's multiplications: more than
# a residual block, whose inner cuts would double the features to save little.
WORTH_TWO_TENSORS = 0.1


@dataclass(frozen=True)
class CutPoint:
    """Tensors of a base from which alone everything above them is computed.

    index, name: of the layer, or bare operation, after which they are known; the index counts the base's operations.
    """

    index: int
    name: str
    tensors: tuple[keras.KerasTensor, ...]


def cut_below(classifier: Classifier, unfreeze: int | str) -> Cut | None:
    """Cut after the last layer that is frozen under `unfreeze`; return None if there is no cut point below it.

    Inside a branch (a residual block), cut at the next cut point below it, unless two tensors at a cut above it save
    much more.
    """
    base = classifier.base
    trained = {name for name in trainable_from(classifier, unfreeze) if base.get_layer(name).weights}
    first = next((i for i, operation in enumerate(base.operations) if operation.name in trained), None)
    if first is None:
        return cut_after_base(classifier)
    point = _last_cut_point(base, first)
    if point is None:
        return None
    body = keras.Model(list(point.tensors), base.output, name="body")
    features = point.tensors[0]
    if len(point.tensors) > 1:
        features = _packed(point.tensors)
        packed = keras.Input(features.shape[1:], name="packed")
        output = call_with_replacements(body, _unpacked(packed, point.tensors), {})
        body = keras.Model(packed, output, name="body")
    key = f"{classifier.name}, {point.index + 1} operations"
    return Cut(point.name, key, prefix_to(classifier, features), body, classifier.head)


def _last_cut_point(base: keras.Model, below: int) -> CutPoint | None:
    """Return the cut point to use below operation number `below`, or None."""
    points = [point for point in cut_points(base, most_tensors=2) if 0 < point.index < below]
    single = [point for point in points if len(point.tensors) == 1][-1:]
    if points[-1:] == single:
        return single[0] if single else None
    start = single[0].index + 1 if single else 0
    between = {operation.name for operation in base.operations[start : points[-1].index + 1]}
    gained = sum(multiplications_of(node) for node in graph_nodes(base) if node.operation.name in between)
    if gained > WORTH_TWO_TENSORS * multiplications(base):
        return points[-1]
    return single[0] if single else None


def _packed(tensors: tuple[keras.KerasTensor, ...]) -> keras.KerasTensor:
    """Return the values of tensors [N, …] as one, [N, 1, L]; its first side makes it a map, which may be bfloat16."""
    return ops.concatenate([ops.reshape(tensor, (-1, 1, math.prod(tensor.shape[1:]))) for tensor in tensors], axis=-1)


def _unpacked(packed: keras.KerasTensor, tensors: tuple[keras.KerasTensor, ...]) -> list[keras.KerasTensor]:
    """Return the parts of `packed` in the shapes of `tensors`."""
    parts, start = [], 0
    for tensor in tensors:
        stop = start + math.prod(tensor.shape[1:])
        parts.append(ops.reshape(packed[:, 0, start:stop], (-1, *tensor.shape[1:])))
        start = stop
    return parts


def cut_after_base(classifier: Classifier) -> Cut:
    """Cut after the base and the head's pooling."""
    base, head = classifier.base, classifier.head
    top = keras.Model(head.get_layer(POOL).output, head.output, name="top")
    key = f"{classifier.name}, whole, {pooling_key(head)}"
    return Cut(POOL, key, prefix_to(classifier, pooled(head, base.output)), None, top)


def prefix_to(classifier: Classifier, features: keras.KerasTensor) -> keras.Model:
    """Build the model raw pixels [N, H, W, 3] -> `features`, a tensor of the classifier's base, in inference mode."""
    base = classifier.base
    image = keras.Input(classifier.model.input.shape[1:], dtype="uint8", name="image")
    pixels = preprocess(image, BASES[classifier.name].preprocessing, base.input.shape[-1])
    frozen = fold(keras.Model(base.input, features, name="frozen"))
    return keras.Model(image, frozen(pixels), name="prefix")


def cut_points(base: keras.Model, most_tensors: int = 1) -> list[CutPoint]:
    """Return the points at which a base can be cut in two, from the input to the top, without its output.

    Above a cut point no other tensors from below it are needed than its own, at most `most_tensors`. With one, there is
    no point inside a residual block: the shortcut bypasses it.
    """
    nodes = graph_nodes(base)
    index = {operation.name: i for i, operation in enumerate(base.operations)}
    output = {node.operation.name: node.outputs[0] for node in nodes}
    last_reader: dict[int, int] = {}  # index of an operation -> highest index of those that read its output
    for node in nodes:
        for tensor in node.input_tensors:
            below = index[producer_of(tensor).name]
            last_reader[below] = max(last_reader.get(below, -1), index[node.operation.name])
    points: list[CutPoint] = []
    needed: list[int] = []  # operations up to this one whose outputs are read above it
    for i, operation in enumerate(base.operations):
        needed = [j for j in (*needed, i) if last_reader.get(j, -1) > i]
        if i in needed and len(needed) <= most_tensors:
            tensors = tuple(output[base.operations[j].name] for j in needed)
            points.append(CutPoint(i, operation.name, tensors))
    return points
