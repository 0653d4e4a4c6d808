"""Rules for what is computed value by value, or along the last axis: sums, scales, dense layers and normalisation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from transfercli.export.onnx_graph.activations import activated, clipped, softmax
from transfercli.export.onnx_graph.graph import (
    Graph,
    Layout,
    Operand,
    Tensor,
    UnsupportedError,
    binary,
    unary,
    values_of,
)


def merging(kind: str) -> Callable[[Graph, Any, Sequence[Operand]], Tensor]:
    """Return the rule of a layer that combines several tensors value by value."""

    def rule(graph: Graph, layer: Any, operands: Sequence[Operand]) -> Tensor:
        total = binary(graph, kind, operands[0], operands[1])
        for operand in operands[2:]:
            total = binary(graph, kind, total, operand)
        return total

    return rule


def of_two(kind: str) -> Callable[[Graph, Any, Operand, Operand], Tensor]:
    def rule(graph: Graph, operation: Any, one: Operand, other: Operand) -> Tensor:
        return binary(graph, kind, one, other)

    return rule


def of_one(kind: str) -> Callable[[Graph, Any, Tensor], Tensor]:
    def rule(graph: Graph, operation: Any, x: Tensor) -> Tensor:
        return unary(graph, x, kind)

    return rule


def square(graph: Graph, operation: Any, x: Tensor) -> Tensor:
    return binary(graph, "Mul", x, x)


def unchanged(graph: Graph, layer: Any, x: Tensor) -> Tensor:
    return x


def cast(graph: Graph, operation: Any, x: Tensor) -> Tensor:
    return as_type(graph, x, operation.dtype)


def as_type(graph: Graph, x: Tensor, dtype: str) -> Tensor:
    """Return a tensor with its values in a type, named as in Keras."""
    from onnx import helper

    if x.dtype == dtype:
        return x
    y = unary(graph, x, "Cast", to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))
    y.dtype = dtype
    return y


def rescaling(graph: Graph, layer: Any, x: Tensor) -> Tensor:
    scale, offset = np.asarray(layer.scale, np.float32), np.asarray(layer.offset, np.float32)
    y = as_type(graph, x, layer.compute_dtype)
    y = y if np.all(scale == 1) else binary(graph, "Mul", y, scale)
    return y if np.all(offset == 0) else binary(graph, "Add", y, offset)


def layer_scale(graph: Graph, layer: Any, x: Tensor) -> Tensor:
    return binary(graph, "Mul", x, values_of(layer.gamma))


def scaled_sum(graph: Graph, layer: Any, operands: Sequence[Tensor]) -> Tensor:
    shortcut, branch = operands
    return binary(graph, "Add", shortcut, branch if layer.scale == 1 else binary(graph, "Mul", branch, layer.scale))


def dense(graph: Graph, layer: Any, x: Tensor) -> Tensor:
    kernel, bias = graph.constant(values_of(layer.kernel), "kernel"), values_of(layer.bias) if layer.use_bias else None
    shape = (*x.shape[:-1], layer.units)
    if len(x.shape) == 2 and bias is not None:
        name = graph.node("Gemm", graph.keras(x), kernel, graph.constant(bias, "bias"))
        return activated(graph, layer.activation, Tensor(shape, x.dtype, {Layout.KERAS: name}))
    y = Tensor(shape, x.dtype, {Layout.KERAS: graph.node("MatMul", graph.keras(x), kernel)})
    return activated(graph, layer.activation, y if bias is None else binary(graph, "Add", y, bias))


def matrix_product(graph: Graph, operation: Any, one: Operand, other: Operand) -> Tensor:
    names = [graph.operand(x, Layout.KERAS) for x in (one, other)]
    return Tensor(operation.output.shape, "float32", {Layout.KERAS: graph.node("MatMul", *names)})


def layer_norm(graph: Graph, layer: Any, x: Tensor) -> Tensor:
    axes = [layer.axis] if isinstance(layer.axis, int) else list(layer.axis)
    if axes not in ([-1], [len(x.shape) - 1]) or getattr(layer, "rms_scaling", False):
        raise UnsupportedError(f"LayerNormalization over axes {axes}, or by the root mean square")
    width = x.shape[-1]
    scale = values_of(layer.gamma) if layer.scale else np.ones(width)  # type: ignore[arg-type]
    weights = [graph.constant(scale, "scale")]
    if layer.center:
        weights.append(graph.constant(values_of(layer.beta), "shift"))
    name = graph.node("LayerNormalization", graph.keras(x), *weights, axis=-1, epsilon=layer.epsilon)
    return Tensor(x.shape, x.dtype, {Layout.KERAS: name})


def unit_norm(graph: Graph, layer: Any, x: Tensor) -> Tensor:
    axis = layer.axis if isinstance(layer.axis, int) else tuple(layer.axis)
    return binary(graph, "Div", x, binary(graph, "Max", reduced(graph, "ReduceL2", x, axis, True), 1e-12))


def reduction(kind: str) -> Callable[[Graph, Any, Tensor], Tensor]:
    return lambda graph, operation, x: reduced(graph, kind, x, operation.axis, operation.keepdims)


def global_pooling_of_tokens(kind: str) -> Callable[..., Tensor]:
    def rule(graph: Graph, layer: Any, x: Tensor) -> Tensor:
        if layer.data_format != "channels_last":
            raise UnsupportedError(f"{type(layer).__name__} with channels first")
        return reduced(graph, kind, x, 1, layer.keepdims)

    return rule


def reduced(graph: Graph, kind: str, x: Tensor, axis: Any, keepdims: bool) -> Tensor:
    rank = len(x.shape)
    if axis is None:
        raise UnsupportedError(f"{kind} over the batch")
    axes = sorted(a % rank for a in ([axis] if isinstance(axis, int) else axis))
    name = graph.node(kind, graph.keras(x), graph.integers(axes), keepdims=int(keepdims))
    sides = [1 if a in axes else side for a, side in enumerate(x.shape) if keepdims or a not in axes]
    return Tensor(tuple(sides), x.dtype, {Layout.KERAS: name})


def activation(graph: Graph, layer: Any, x: Tensor) -> Tensor:
    return activated(graph, layer.activation, x)


def relu(graph: Graph, layer: Any, x: Tensor) -> Tensor:
    if layer.negative_slope or layer.threshold:
        raise UnsupportedError("ReLU with a slope or a threshold")
    return unary(graph, x, "Relu") if layer.max_value is None else clipped(graph, x, float(layer.max_value))


def softmax_layer(graph: Graph, layer: Any, x: Tensor) -> Tensor:
    if not isinstance(layer.axis, int):
        raise UnsupportedError("Softmax over several axes")
    return softmax(graph, x, layer.axis)


def gelu(graph: Graph, operation: Any, x: Tensor) -> Tensor:
    return unary(graph, x, "Gelu", approximate="tanh" if operation.approximate else "none")
