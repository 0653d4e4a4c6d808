"""Number of multiplications in a network's forward pass, from the shapes of its layers."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import layers

from transfercli.models.keras_internals import graph_nodes, has_inner_layers, inner_layers


def multiplications(model: keras.Model) -> float:
    """Return the number of multiplications in the convolutions and matrix products of one image's forward pass.

    Nested models are included. A layer that is called more than once counts once.
    """
    models = [model, *(layer for layer in inner_layers(model) if isinstance(layer, keras.Function))]
    calls = {id(node.operation): node for one in models for node in graph_nodes(one)}
    return sum(multiplications_of(node) for node in calls.values())


def multiplications_of(node: Any) -> float:
    """Return the multiplications of one call in a functional model.

    A nested model has 0, as its own calls count. Keras' attention layer has those of its parts.
    """
    operation, inputs, (output, *_) = node.operation, node.input_tensors, node.outputs
    if isinstance(operation, layers.MultiHeadAttention):
        return _attention(operation, *(math.prod(x.shape[1:-1]) for x in inputs[:2]))
    kind = type(operation).__name__
    if kind == "Matmul":
        return float(math.prod(output.shape[1:]) * inputs[0].shape[-1])
    if kind == "Einsum":
        return _einsum(operation.subscripts, *(x.shape for x in inputs))
    kernels = [v for v in getattr(operation, "weights", ()) if "kernel" in v.name and len(v.shape) > 1]
    if isinstance(operation, keras.Model) or not kernels or has_inner_layers(operation):
        return 0.0
    if isinstance(operation, layers.EinsumDense):
        return _einsum(operation.equation, inputs[0].shape, operation.kernel.shape)
    return float(math.prod(output.shape[1:-1]) * sum(math.prod(v.shape) for v in kernels))


def _einsum(equation: str, *shapes: tuple[int | None, ...]) -> float:
    """Return the product of the sizes of all letters of an equation; the batch, whose size is unknown, counts once."""
    operands = equation.replace(" ", "").split("->")[0].split(",")
    sizes: dict[str, int] = {}
    for letters, shape in zip(operands, shapes, strict=True):
        sizes |= {letter: size or 1 for letter, size in zip(letters, shape, strict=True)}
    return float(math.prod(sizes.values()))


def _attention(layer: layers.MultiHeadAttention, queries: int, values: int) -> float:
    """Return the multiplications of the attention of so many vectors to so many others."""
    of_queries = math.prod(layer.query_dense.kernel.shape) + math.prod(layer.output_dense.kernel.shape)
    of_values = math.prod(layer.key_dense.kernel.shape) + math.prod(layer.value_dense.kernel.shape)
    products = queries * values * layer.num_heads * (layer.key_dim + layer.value_dim)
    return float(queries * of_queries + values * of_values + products)
