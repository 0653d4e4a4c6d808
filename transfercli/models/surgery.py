"""Cut of a classifier in two: a frozen prefix, images to features, and the part that trains on the features.

At most cuts one tensor passes. Every cell of a NASNet reads the two cells before it, so that two pass at any cut of it;
they are carried in one array of features, one behind the other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import keras
import numpy as np
from keras import ops

from transfercli.models.batchnorm_folding import fold
from transfercli.models.classifier import Classifier
from transfercli.models.keras_internals import (
    call_with_replacements,
    graph_nodes,
    producer_of,
)
from transfercli.models.multiplications import multiplications, multiplications_of
from transfercli.models.pooling import POOL, pooled, pooling_key, poolings_of
from transfercli.models.preprocessing import preprocess
from transfercli.models.trainable.freezing import trainable_from


@dataclass(frozen=True)
class CutPart:
    """Pooled vector of one layer, `width` values of the features of a `Cut`; key, prefix: as of a cut of its own."""

    key: str
    prefix: keras.Model
    width: int


@dataclass(frozen=True)
class Cut:
    """Classifier cut in two; both parts share their layers with it, so nothing has to be copied back.

    last_layer: name of the last layer, or bare operation, of the prefix; `pool` if it contains the whole base.
    key: text that identifies base and cut, the same in every process.
    prefix: raw pixels [N, H, W, 3] -> features [N, …]; none of its layers trains.
    body: features -> what the top reads; None if the prefix contains the whole base.
    top: the base's output, or the features if there is no body -> logits. If the head reads several layers, the top of
    a body reads a list: the pooled vectors of the layers below the cut, the maps of those above it, and the output.
    parts: if the prefix contains the whole base and the head reads several layers, those whose pooled vectors are side
    by side in the features.
    """

    last_layer: str
    key: str
    prefix: keras.Model
    body: keras.Model | None
    top: keras.Model
    parts: tuple[CutPart, ...] = ()

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
    above = Above(classifier, point)
    carried = (*point.tensors, *above.vectors)
    count = len(point.tensors)
    features = _packed(carried) if len(carried) > 1 else carried[0]
    stored = keras.Input(features.shape[1:], name="stored")
    values = _unpacked(stored, carried) if len(carried) > 1 else [stored]
    body = keras.Model(stored, above.inputs_of_top(values[:count], values[count:]), name="body")
    key = f"{classifier.name}, {point.index + 1} operations"
    if above.vectors:
        key += f", {', '.join(classifier.taps[: len(above.vectors)])}, {pooling_key(classifier.head)}"
    return Cut(point.name, key, prefix_to(classifier, features), body, above.top)


class Above:
    """Part of a classifier above a cut point, which may be its base's output.

    vectors: pooled vectors [N, p] of the layers below the cut that the head reads too, from the input to the top.
    top: a list of the vectors and of the outputs of the trunk above the cut -> logits; without taps, the output alone.
    """

    def __init__(self, classifier: Classifier, point: CutPoint) -> None:
        order = {operation.name: index for index, operation in enumerate(classifier.base.operations)}
        outputs = classifier.trunk.outputs
        # Those of other networks of an average come first, and count as known below the cut.
        known = sum(order.get(producer_of(output).name, -1) < point.index for output in outputs)
        self.vectors = pooled(classifier.head, outputs)[:known]
        self.top = _top_of(classifier.head, known) if known else classifier.head
        self._outputs = outputs[known:]
        self._places = {id(tensor): number for number, tensor in enumerate(point.tensors)}
        computed = [output for output in self._outputs if id(output) not in self._places]
        self._body = keras.Model(list(point.tensors), computed, name="body") if computed else None

    def inputs_of_top(self, tensors: list[keras.KerasTensor], vectors: list[keras.KerasTensor]) -> Any:
        """Return what the top reads, computed from values of the point's tensors and of the vectors."""
        computed = call_with_replacements(self._body, tensors, {}) if self._body else []
        results = iter(computed if isinstance(computed, list) else [computed])
        inputs = [
            *vectors,
            *(tensors[self._places[id(x)]] if id(x) in self._places else next(results) for x in self._outputs),
        ]
        return inputs if len(inputs) > 1 else inputs[0]


def _top_of(head: keras.Model, known: int) -> keras.Model:
    """Return the head with pooled vectors as its first `known` inputs instead of the features of these layers."""
    vectors = [pooling.output for pooling in poolings_of(head)[:known]]
    return keras.Model([*vectors, *head.inputs[known:]], head.output, name="top")


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
    """Cut after the base and the head's poolings; vectors of several layers are side by side in the features."""
    trunk, head = classifier.trunk, classifier.head
    vectors = pooled(head, trunk.outputs)
    name, pooling = classifier.name, pooling_key(head)
    key = f"{name}, whole, {pooling}"
    if len(vectors) == 1:
        top = keras.Model(head.get_layer(POOL).output, head.output, name="top")
        return Cut(POOL, key, prefix_to(classifier, vectors[0]), None, top)
    keys = [*(f"{name}, tap {tap}, {pooling}" for tap in classifier.taps), key]
    parts = tuple(
        CutPart(key, prefix_to(classifier, vector), vector.shape[-1]) for key, vector in zip(keys, vectors, strict=True)
    )
    joined = keras.Input((sum(part.width for part in parts),), name="side_by_side")
    bounds = np.cumsum([0, *(part.width for part in parts)]).tolist()
    slices = [joined[:, start:stop] for start, stop in pairwise(bounds)]
    above = _top_of(head, len(parts))
    top = keras.Model(joined, call_with_replacements(above, slices, {}), name="top")
    return Cut(POOL, "; ".join(keys), prefix_to(classifier, ops.concatenate(vectors, axis=-1)), None, top, parts)


def prefix_to(classifier: Classifier, features: keras.KerasTensor | list[keras.KerasTensor]) -> keras.Model:
    """Build the model raw pixels [N, H, W, 3] -> `features`, tensors of the classifier's base, in inference mode."""
    base = classifier.base
    image = keras.Input(classifier.model.input.shape[1:], dtype="uint8", name="image")
    pixels = preprocess(image, classifier.preprocessing, base.input.shape[-1])
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
