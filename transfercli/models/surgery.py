"""Cut a classifier in two: what is frozen, which turns images into features, and what trains on those."""

from __future__ import annotations

import math
from dataclasses import dataclass

import keras

from transfercli.models.bases import BASES
from transfercli.models.batchnorm_folding import fold
from transfercli.models.classifier import Classifier
from transfercli.models.freezing import trainable_from
from transfercli.models.keras_internals import giver, graph_nodes, has_inner_layers, inner_layers
from transfercli.models.preprocessing import preprocess


@dataclass(frozen=True)
class Cut:
    """The two sides of a classifier; both share their layers with it, so nothing is ever copied back.

    behind: name of the last layer, or bare operation, of the prefix; `pool` where the whole base is in it.
    key: says the same as base and place, in words that are the same in every process.
    prefix: raw pixels [N, H, W, 3] -> features [N, …]. It ends before any layer that trains.
    body: features -> the base's output; None where the whole base is in the prefix.
    top: the base's output, or the pooled vector where there is no body -> logits.
    """

    behind: str
    key: str
    prefix: keras.Model
    body: keras.Model | None
    top: keras.Model

    @property
    def feature_shape(self) -> tuple[int, ...]:
        return tuple(self.prefix.output.shape[1:])


@dataclass(frozen=True)
class Place:
    """A tensor of a base that everything above is computed from.

    number, name: of the layer, or bare operation, that gives it, in the base's order.
    """

    number: int
    name: str
    tensor: keras.KerasTensor


def cut_below(classifier: Classifier, unfreeze: int | str) -> Cut | None:
    """Cut behind the last layer that is frozen under `unfreeze`; None where nothing below could be cut off.

    Where the network branches, at the next place below at which a single tensor carries everything on.
    """
    base = classifier.base
    trained = {name for name in trainable_from(classifier, unfreeze) if base.get_layer(name).weights}
    first = next((n for n, operation in enumerate(base.operations) if operation.name in trained), None)
    if first is None:
        return whole_base(classifier)
    places = [place for place in single_tensor_places(base) if 0 < place.number < first]
    if not places:
        return None
    place = places[-1]
    body = keras.Model(place.tensor, base.output, name="body")
    key = f"{classifier.name}, {place.number + 1} operations"
    return Cut(place.name, key, prefix_to(classifier, place.tensor), body, classifier.head)


def whole_base(classifier: Classifier) -> Cut:
    """Cut behind the pooled output of the base, as its head pools it."""
    base, head = classifier.base, classifier.head
    pool = head.get_layer("pool")
    top = keras.Model(pool.output, head.output, name="top")
    key = f"{classifier.name}, whole, {type(pool).__name__}"
    return Cut("pool", key, prefix_to(classifier, pool(base.output)), None, top)


def prefix_to(classifier: Classifier, features: keras.KerasTensor) -> keras.Model:
    """Raw pixels [N, H, W, 3] -> a tensor of the classifier's base, computed as at inference."""
    base = classifier.base
    image = keras.Input(classifier.model.input.shape[1:], dtype="uint8", name="image")
    pixels = preprocess(image, BASES[classifier.name].preprocessing, base.input.shape[-1])
    frozen = fold(keras.Model(base.input, features, name="frozen"))
    return keras.Model(image, frozen(pixels), name="prefix")


def single_tensor_places(base: keras.Model) -> list[Place]:
    """Where a base can be cut in two, from the input to the top; its last layer, behind which nothing is, is not one.

    A place is a layer behind which no other tensor from below is needed: not inside a residual block, whose shortcut
    passes it by.
    """
    nodes = graph_nodes(base)
    number = {operation.name: n for n, operation in enumerate(base.operations)}
    output = {node.operation.name: node.outputs[0] for node in nodes}
    needed_by: dict[int, int] = {}  # a number -> the highest number that takes its output
    for node in nodes:
        for tensor in node.input_tensors:
            below = number[giver(tensor).name]
            needed_by[below] = max(needed_by.get(below, -1), number[node.operation.name])
    places, reach = [], -1
    for n, operation in enumerate(base.operations):
        passing = reach > n  # an output from further below is still needed above
        reach = max(reach, needed_by.get(n, -1))
        if not passing and n in needed_by:
            places.append(Place(n, operation.name, output[operation.name]))
    return places


def multiplications(model: keras.Model) -> float:
    """Multiplications of the convolutions and matrix products of one image's forward pass, nested models included."""
    total = 0.0
    for layer in inner_layers(model):
        kernels = [v for v in layer.weights if "kernel" in v.name and len(v.shape) > 1]
        if isinstance(layer, keras.Model) or not kernels or has_inner_layers(layer):
            continue
        positions = math.prod(layer.output.shape[1:-1]) if len(layer.output.shape) > 2 else 1
        total += positions * sum(math.prod(v.shape) for v in kernels)
    return total
