"""Cut of a classifier in two: a frozen prefix, images to features, and the part that trains on the features."""

from __future__ import annotations

import math
from dataclasses import dataclass

import keras

from transfercli.models.bases import BASES
from transfercli.models.batchnorm_folding import fold
from transfercli.models.classifier import Classifier
from transfercli.models.freezing import trainable_from
from transfercli.models.keras_internals import graph_nodes, has_inner_layers, inner_layers, producer_of
from transfercli.models.preprocessing import preprocess


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


@dataclass(frozen=True)
class CutPoint:
    """Tensor of a base from which alone everything above it is computed.

    index, name: of the layer, or bare operation, whose output it is; the index counts the base's operations.
    """

    index: int
    name: str
    tensor: keras.KerasTensor


def cut_below(classifier: Classifier, unfreeze: int | str) -> Cut | None:
    """Cut after the last layer that is frozen under `unfreeze`; return None if there is no cut point below it.

    Inside a branch (a residual block), cut at the next cut point below it.
    """
    base = classifier.base
    trained = {name for name in trainable_from(classifier, unfreeze) if base.get_layer(name).weights}
    first = next((i for i, operation in enumerate(base.operations) if operation.name in trained), None)
    if first is None:
        return cut_after_base(classifier)
    points = [point for point in cut_points(base) if 0 < point.index < first]
    if not points:
        return None
    point = points[-1]
    body = keras.Model(point.tensor, base.output, name="body")
    key = f"{classifier.name}, {point.index + 1} operations"
    return Cut(point.name, key, prefix_to(classifier, point.tensor), body, classifier.head)


def cut_after_base(classifier: Classifier) -> Cut:
    """Cut after the base and the head's pooling."""
    base, head = classifier.base, classifier.head
    pool = head.get_layer("pool")
    top = keras.Model(pool.output, head.output, name="top")
    key = f"{classifier.name}, whole, {type(pool).__name__}"
    return Cut("pool", key, prefix_to(classifier, pool(base.output)), None, top)


def prefix_to(classifier: Classifier, features: keras.KerasTensor) -> keras.Model:
    """Build the model raw pixels [N, H, W, 3] -> `features`, a tensor of the classifier's base, in inference mode."""
    base = classifier.base
    image = keras.Input(classifier.model.input.shape[1:], dtype="uint8", name="image")
    pixels = preprocess(image, BASES[classifier.name].preprocessing, base.input.shape[-1])
    frozen = fold(keras.Model(base.input, features, name="frozen"))
    return keras.Model(image, frozen(pixels), name="prefix")


def cut_points(base: keras.Model) -> list[CutPoint]:
    """Return the tensors at which a base can be cut in two, from the input to the top, without its output.

    Above a cut point no other tensor from below it is needed. So a tensor inside a residual block is not one: the
    shortcut bypasses it.
    """
    nodes = graph_nodes(base)
    index = {operation.name: i for i, operation in enumerate(base.operations)}
    output = {node.operation.name: node.outputs[0] for node in nodes}
    last_reader: dict[int, int] = {}  # index of an operation -> highest index of those that read its output
    for node in nodes:
        for tensor in node.input_tensors:
            below = index[producer_of(tensor).name]
            last_reader[below] = max(last_reader.get(below, -1), index[node.operation.name])
    points, reach = [], -1
    for i, operation in enumerate(base.operations):
        bypassed = reach > i  # an operation above reads an output from below this one
        reach = max(reach, last_reader.get(i, -1))
        if not bypassed and i in last_reader:
            points.append(CutPoint(i, operation.name, output[operation.name]))
    return points


def multiplications(model: keras.Model) -> float:
    """Return the number of multiplications in the convolutions and matrix products of one image's forward pass.

    Nested models are included.
    """
    total = 0.0
    for layer in inner_layers(model):
        kernels = [v for v in layer.weights if "kernel" in v.name and len(v.shape) > 1]
        if isinstance(layer, keras.Model) or not kernels or has_inner_layers(layer):
            continue
        positions = math.prod(layer.output.shape[1:-1]) if len(layer.output.shape) > 2 else 1
        total += positions * sum(math.prod(v.shape) for v in kernels)
    return total
