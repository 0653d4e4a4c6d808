"""Stable names for the weights of a classifier: `base/LAYER/WEIGHT` or `head/LAYER/WEIGHT`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Set

import keras
import numpy as np

from transfercli.errors import ArtefactError
from transfercli.models.classifier import Classifier


def named_variables(classifier: Classifier) -> dict[str, keras.Variable]:
    """Return name -> variable, sorted by name; names do not depend on other models built in the process."""
    named: dict[str, keras.Variable] = {}
    for part, model in (("base", classifier.base), ("head", classifier.head)):
        stable = stable_layer_names(model)
        for layer in model.layers:
            for variable in layer.weights:
                name = weight_name(part, stable[layer.name], variable)
                if name in named:
                    raise ValueError(f"two weights share the name {name!r}")
                named[name] = variable
    return dict(sorted(named.items()))


def weight_name(part: str, layer: str, variable: keras.Variable) -> str:
    """Return `base/conv1/kernel`: the part, the layer's stable name, and the variable's path inside the layer."""
    return f"{part}/{layer}/{variable.path.partition('/')[2] or variable.name}"


def stable_layer_names(model: keras.Model) -> dict[str, str]:
    """Return layer name -> the name that the layer has in a fresh process.

    Keras numbers unnamed layers over the whole process (`conv2d_98`); here they are numbered within their model.
    """
    counts: Counter[str] = Counter()
    names = {}
    for layer in model.layers:
        kind = _snake_case(type(layer).__name__)
        if not re.fullmatch(rf"{re.escape(kind)}(_\d+)?", layer.name):
            names[layer.name] = layer.name
            continue
        names[layer.name] = f"{kind}_{counts[kind]}" if counts[kind] else kind
        counts[kind] += 1
    return names


def _snake_case(name: str) -> str:
    """Return a class name in snake case, as Keras does for the automatic name of a layer."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def read_tensors(classifier: Classifier, names: Set[str] | None = None) -> dict[str, np.ndarray]:
    """Return copies of the weights by name, in the dtype of each variable; with `names`, only of these."""
    variables = named_variables(classifier)
    return {name: keras.ops.convert_to_numpy(v) for name, v in variables.items() if names is None or name in names}


def assign_tensors(classifier: Classifier, tensors: dict[str, np.ndarray]) -> None:
    """Assign a value to every weight. Raises `ArtefactError` if a name, shape or dtype differs from the model's."""
    variables = named_variables(classifier)
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
