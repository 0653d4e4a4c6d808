"""Private interfaces of Keras that this program uses, in one place: check these first with a new version of Keras.

Keras 3 has no public interface for any of them. `tests/models/test_keras_internals.py` tests each one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import keras
from keras.src.backend import AutocastScope, config
from keras.src.utils import file_utils, module_utils


def set_keras_home(folder: str) -> None:
    """Set the folder in which Keras looks for weights and data sets, after KERAS_HOME was read at its import."""
    config._KERAS_DIR = folder


def use_no_tensorflow() -> None:
    """Make Keras, on another backend, work as if TensorFlow were not installed.

    Otherwise a seed, and the serialization of a model, import it wherever it is installed.
    """
    module_utils.tensorflow._available = False


def inner_layers(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """Return all layers inside a layer or model, at every depth, without itself, in the order they were attached."""
    return list(layer._flatten_layers(include_self=False))


def has_inner_layers(layer: keras.layers.Layer) -> bool:
    """Return True if a layer contains other layers."""
    return bool(getattr(layer, "_layers", None))  # a bare operation has none


def graph_nodes(model: keras.Model) -> list[Any]:
    """Return the calls in a functional model; each has `operation`, `input_tensors`, `outputs` and `is_input`."""
    return [node for level in model._nodes_by_depth.values() for node in level]


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a layer, or bare operation, in a functional model, with symbolic arguments and results."""

    operation: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    outputs: list[keras.KerasTensor]


def graph_calls(model: keras.Model) -> list[Call]:
    """Return the calls in a functional model, each after those whose results it needs; inputs are no calls."""
    levels = sorted(model._nodes_by_depth.items(), reverse=True)
    return [
        Call(node.operation, node.arguments.args, node.arguments.kwargs, list(node.outputs))
        for _, nodes in levels
        for node in nodes
        if not node.is_input
    ]


def producer_of(tensor: keras.KerasTensor) -> Any:
    """Return the layer, or bare operation, whose output a symbolic tensor is."""
    return tensor._keras_history.operation


def graph_arguments(model: keras.Model) -> dict[str, Any]:
    """Return the arguments with which another class makes a functional model of the same graph."""
    return {"inputs": model._inputs_struct, "outputs": model._outputs_struct, "name": model.name}


def call_with_replacements(model: keras.Model, inputs: Any, replaced: Mapping[str, Callable[..., Any]]) -> Any:
    """Call a functional model's operations in order on `inputs`, with some of them replaced.

    inputs: a tensor, or a list of one for each input of the model; symbolic ones give a new graph of the same layers.
    replaced: operation name -> the function to call instead.
    """
    tensors = inputs if isinstance(inputs, list) else [inputs]
    outputs = model._run_through_graph(tensors, lambda operation: replaced.get(operation.name, operation))
    return outputs[0] if isinstance(outputs, list) and len(outputs) == 1 else outputs


def without_autocast() -> AbstractContextManager[None]:
    """Return a context in which variables are read in their own dtype, whatever the dtype policy."""
    scope: AbstractContextManager[None] = AutocastScope(None)
    return scope


@contextmanager
def reported_downloads(report: Callable[[str, int, int], None]) -> Iterator[None]:
    """Let Keras report its downloads to a function instead of printing them.

    report: called with the address, the number of bytes so far, and that of the whole file, 0 if it is unknown.
    """
    retrieve, interactive = file_utils.urlretrieve, keras.config.is_interactive_logging_enabled()

    def reporting(address: str, target: str, _hook: Any) -> Any:
        report(address, 0, 0)
        return retrieve(address, target, lambda blocks, size, total: report(address, blocks * size, max(total, 0)))

    file_utils.urlretrieve = reporting
    keras.config.disable_interactive_logging()
    try:
        yield
    finally:
        file_utils.urlretrieve = retrieve
        if interactive:
            keras.config.enable_interactive_logging()


def variable_index(optimizer: keras.optimizers.Optimizer, variable: Any) -> int:
    """Return the index of a variable among those for which an optimizer was built."""
    index: int = optimizer._get_variable_index(variable)
    return index


def skip_gradient_sum(optimizer: keras.optimizers.Optimizer) -> None:
    """Make an optimizer skip the sum of gradients over devices, which is the gradient itself on a single device.

    Otherwise Keras calls TensorFlow for the sum, and every traced step function registers a gradient that is never
    released: the graph, and the data that it reads, stay in memory until the process ends.
    """
    if hasattr(optimizer, "_all_reduce_sum_gradients"):
        optimizer._all_reduce_sum_gradients = list
