"""What this program needs of Keras beyond its public interface, in one place: a new version is checked here first.

Keras 3 offers no public way to any of these. `tests/models/test_internals.py` says what is relied upon.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import keras
from keras.src.backend import AutocastScope


def inner_layers(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """The layers inside a layer or model, at every depth, itself left out, in the order they were attached."""
    return list(layer._flatten_layers(include_self=False))


def has_inner_layers(layer: keras.layers.Layer) -> bool:
    return bool(layer._layers)


def graph_nodes(model: keras.Model) -> list[Any]:
    """The calls that a functional model is made of; each has `operation`, `input_tensors`, `outputs`, `is_input`."""
    return [node for level in model._nodes_by_depth.values() for node in level]


def giver(tensor: keras.KerasTensor) -> Any:
    """The layer, or bare operation, whose output a symbolic tensor is."""
    return tensor._keras_history.operation


def structure(model: keras.Model) -> dict[str, Any]:
    """The arguments that make a functional model of another class with the same graph."""
    return {"inputs": model._inputs_struct, "outputs": model._outputs_struct, "name": model.name}


def run_through(model: keras.Model, inputs: Any, instead: Mapping[str, Callable[..., Any]]) -> Any:
    """Call a functional model's operations one after the other on `inputs`, some of them replaced, by name.

    On a symbolic tensor this gives a new graph of the same layers.
    """
    outputs = model._run_through_graph([inputs], lambda operation: instead.get(operation.name, operation))
    return outputs[0] if isinstance(outputs, list) else outputs


def without_autocast() -> AbstractContextManager[None]:
    """Variables are read in their own type inside the block, whatever policy is being computed under."""
    scope: AbstractContextManager[None] = AutocastScope(None)
    return scope


def position_of(optimizer: keras.optimizers.Optimizer, variable: Any) -> int:
    """The place of a variable among those an optimizer was built for."""
    position: int = optimizer._get_variable_index(variable)
    return position


def sum_nothing(optimizer: keras.optimizers.Optimizer) -> None:
    """An optimizer of one process and one device, whose gradients are their own sum already.

    Keras asks TensorFlow for the sum all the same, which registers a gradient of it for good with every step function
    that is traced: the graph, and all that it reads its batches from, then stay until the process ends.
    """
    if hasattr(optimizer, "_all_reduce_sum_gradients"):
        optimizer._all_reduce_sum_gradients = list
