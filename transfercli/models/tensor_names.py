"""Stable names for the weights of a classifier: `base/LAYER/WEIGHT` or `head/LAYER/WEIGHT`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence, Set
from typing import Any

import keras
import numpy as np

from transfercli.errors import ArtefactError
from transfercli.models.classifier import Classifier
from transfercli.models.normalization import finalise_classifier
from transfercli.models.trainable.lora import merged_kernels, reset_factors, without_factors


def named_variables(classifier: Classifier) -> dict[str, keras.Variable]:
    """Return name -> variable, sorted by name; names do not depend on other models built in the process.

    The factors of LoRA are left out: `read_tensors` adds them to the kernels.
    """
    named: dict[str, keras.Variable] = {}
    base, head = classifier.base, classifier.head
    known = {id(layer) for layer in base.layers}
    others = [layer for layer in classifier.trunk.layers if id(layer) not in known] if classifier.average else []
    for part, layers in (("base", base.layers), ("base", others), ("head", head.layers)):
        names = _weight_names(part, layers)
        for layer in layers:
            for variable in without_factors(layer.weights):
                name = names[id(variable)]
                if name in named:
                    raise ValueError(f"two weights share the name {name!r}")
                named[name] = variable
    return dict(sorted(named.items()))


def weight_names(part: str, model: keras.Model) -> dict[int, str]:
    """Return `id(variable)` -> name of each weight of a model, such as `base/conv1/kernel`.

    A name is the part, the layer's stable name, and the variable's path inside the layer. Variables without a name of
    their own (the scales of ConvNeXt) are numbered within the model, as in a fresh process.
    """
    return _weight_names(part, model.layers)


def _weight_names(part: str, layers: Sequence[Any]) -> dict[int, str]:
    stable = stable_names(layers)
    names = {
        id(variable): f"{part}/{stable[layer.name]}/{variable.path.partition('/')[2] or variable.name}"
        for layer in layers
        for variable in layer.weights
    }
    numbered = _numbers_within(names.values())
    return {key: numbered.get(name, name) for key, name in names.items()}


def with_stable_numbers(tensors: dict[str, Any], names: Set[str]) -> dict[str, Any]:
    """Return the tensors with the numbers of the model's `names`, if another numbering stored them.

    Earlier versions stored the numbers of the process, which had built other networks before.
    """
    numbered = _numbers_within(tensors)
    if numbered.keys() <= names:
        return tensors
    return {numbered.get(name, name): value for name, value in tensors.items()}


def _numbers_within(names: Iterable[str]) -> dict[str, str]:
    """Return name -> name with the number it has within `names`, for `…/variable`, `…/variable_1` and so on.

    Keras numbers variables without a name over the whole process, in the order in which they are made.
    """
    numbers = {name: int(match[1] or 0) for name in names if (match := _UNNAMED.fullmatch(name))}
    ordered = sorted(numbers, key=numbers.__getitem__)
    return {
        name: name.rpartition("/")[0] + (f"/variable_{rank}" if rank else "/variable")
        for rank, name in enumerate(ordered)
    }


_UNNAMED = re.compile(r".*/variable(?:_(\d+))?")


def stable_layer_names(model: keras.Model) -> dict[str, str]:
    """Return layer name -> the name that the layer has in a fresh process."""
    return stable_names(model.layers)


def stable_names(layers: Iterable[Any]) -> dict[str, str]:
    """Return name -> the name in a fresh process, of layers and bare operations.

    Keras numbers unnamed layers over the whole process (`conv2d_98`); here they are numbered among `layers`.
    """
    counts: Counter[str] = Counter()
    names = {}
    for layer in layers:
        kind = automatic_kind(layer)
        if kind is None:
            names[layer.name] = layer.name
            continue
        names[layer.name] = f"{kind}_{counts[kind]}" if counts[kind] else kind
        counts[kind] += 1
    return names


def automatic_kind(layer: keras.layers.Layer) -> str | None:
    """Return `conv2d` for a layer that Keras named `conv2d` or `conv2d_98` itself, None for any other name."""
    kind = _snake_case(type(layer).__name__)
    return kind if re.fullmatch(rf"{re.escape(kind)}(_\d+)?", layer.name) else None


def _snake_case(name: str) -> str:
    """Return a class name in snake case, as Keras does for the automatic name of a layer."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def read_tensors(classifier: Classifier, names: Set[str] | None = None) -> dict[str, np.ndarray]:
    """Return copies of the weights by name, in the dtype of each variable; with `names`, only of these."""
    variables, merged = named_variables(classifier), merged_kernels(classifier)
    return {
        name: keras.ops.convert_to_numpy(merged.get(id(v), v))
        for name, v in variables.items()
        if names is None or name in names
    }


def assign_tensors(classifier: Classifier, tensors: dict[str, np.ndarray]) -> None:
    """Assign a value to every weight. Raises `ArtefactError` if a name, shape or dtype differs from the model's."""
    variables = named_variables(classifier)
    tensors = with_stable_numbers(tensors, variables.keys())
    missing, extra = variables.keys() - tensors.keys(), tensors.keys() - variables.keys()
    if missing or extra:
        raise ArtefactError(
            f"the checkpoint does not fit the model: {len(missing)} weights missing, {len(extra)} unknown"
            f" (first: {sorted(missing | extra)[0]!r})"
        )
    for name, variable in variables.items():
        value = tensors[name]
        if value.shape != tuple(variable.shape) or value.dtype != keras.backend.standardize_dtype(variable.dtype):
            raise ArtefactError(
                f"the checkpoint does not fit the model: {name} is {value.dtype}{list(value.shape)},"
                f" the model has {variable.dtype}{list(variable.shape)}"
            )
        variable.assign(value)
    reset_factors(classifier)
    finalise_classifier(classifier)
