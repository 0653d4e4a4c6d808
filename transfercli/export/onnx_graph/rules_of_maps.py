"""Rules for layers of maps [N, H, W, C]: convolutions, pooling, padding and BatchNorm."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from transfercli.export.onnx_graph.activations import activated
from transfercli.export.onnx_graph.graph import (
    Graph,
    Layout,
    Padding,
    Tensor,
    UnsupportedError,
    binary,
    same_padding,
    values_of,
)

Sides = tuple[int, int, int, int]


def convolution(graph: Graph, layer: Any, x: Tensor) -> Tensor:
    kernel = values_of(layer.kernel).transpose(3, 2, 0, 1)
    return _convolved(graph, layer, x, kernel, layer.groups, layer.filters)


def depthwise(graph: Graph, layer: Any, x: Tensor) -> Tensor:
    kernel = values_of(layer.kernel)
    height, width, channels, multiplier = kernel.shape
    kernel = kernel.reshape(height, width, 1, channels * multiplier).transpose(3, 2, 0, 1)
    return _convolved(graph, layer, x, kernel, channels, channels * multiplier)


def separable(graph: Graph, layer: Any, x: Tensor) -> Tensor:
    """Write a depthwise convolution and one of single pixels."""
    each, mixed = values_of(layer.depthwise_kernel), values_of(layer.pointwise_kernel)
    height, width, channels, multiplier = each.shape
    each = each.reshape(height, width, 1, channels * multiplier).transpose(3, 2, 0, 1)
    y = _strided(graph, layer, x, [graph.constant(each, "depthwise_kernel")], channels, channels * multiplier)
    weights = [graph.constant(mixed.transpose(3, 2, 0, 1), "kernel"), *_bias(graph, layer)]
    name = graph.node("Conv", graph.channels_first(y), *weights, kernel_shape=[1, 1])
    y = Tensor((*y.shape[:3], layer.filters), y.dtype, {Layout.CHANNELS_FIRST: name})
    return activated(graph, layer.activation, y)


def _convolved(graph: Graph, layer: Any, x: Tensor, kernel: np.ndarray, groups: int, filters: int) -> Tensor:
    weights = [graph.constant(kernel, "kernel"), *_bias(graph, layer)]
    return activated(graph, layer.activation, _strided(graph, layer, x, weights, groups, filters))


def _bias(graph: Graph, layer: Any) -> list[str]:
    return [graph.constant(values_of(layer.bias), "bias")] if layer.use_bias else []


def _strided(graph: Graph, layer: Any, x: Tensor, weights: list[str], groups: int, filters: int) -> Tensor:
    """Convolve with the layer's window; padding before it becomes its own."""
    source, before = (x.padding.source, x.padding.sides) if x.padding else (x, (0, 0, 0, 0))
    sides, shape = _window(layer, x, layer.kernel_size, layer.dilation_rate)
    name = graph.node(
        "Conv",
        graph.channels_first(source),
        *weights,
        kernel_shape=layer.kernel_size,
        strides=layer.strides,
        dilations=layer.dilation_rate,
        group=groups,
        pads=[a + b for a, b in zip(before, sides, strict=True)],
    )
    return Tensor((None, *shape, filters), "float32", {Layout.CHANNELS_FIRST: name})


def _window(layer: Any, x: Tensor, window: Any, dilation: Any = (1, 1)) -> tuple[Sides, tuple[int, int]]:
    """Return the padding of a layer's window, (top, left, bottom, right), and the height and width of its output."""
    _check_channels_last(layer)
    rows = []
    for side, size, stride, step in zip(x.shape[1:3], window, layer.strides, dilation, strict=True):
        if side is None:
            raise UnsupportedError("maps of any size")
        before, after = same_padding(side, size, stride, step) if layer.padding == "same" else (0, 0)
        rows.append((before, after, (side + before + after - (size - 1) * step - 1) // stride + 1))
    (top, bottom, height), (left, right, width) = rows
    return (top, left, bottom, right), (height, width)


def pooling(kind: str, **attributes: Any) -> Callable[[Graph, Any, Tensor], Tensor]:
    def rule(graph: Graph, layer: Any, x: Tensor) -> Tensor:
        sides, shape = _window(layer, x, layer.pool_size)
        window = {"kernel_shape": layer.pool_size, "strides": layer.strides, "pads": sides}
        name = graph.node(kind, graph.channels_first(x), **window, **attributes)
        return Tensor((None, *shape, x.shape[-1]), x.dtype, {Layout.CHANNELS_FIRST: name})

    return rule


def global_pooling(kind: str) -> Callable[[Graph, Any, Tensor], Tensor]:
    def rule(graph: Graph, layer: Any, x: Tensor) -> Tensor:
        _check_channels_last(layer)
        name = graph.node(kind, graph.channels_first(x))
        channels = x.shape[-1]
        if layer.keepdims:
            return Tensor((None, 1, 1, channels), x.dtype, {Layout.CHANNELS_FIRST: name})
        return Tensor((None, channels), x.dtype, {Layout.KERAS: graph.node("Flatten", name)})

    return rule


def zero_padding(graph: Graph, layer: Any, x: Tensor) -> Tensor:
    _check_channels_last(layer)
    (top, bottom), (left, right) = layer.padding
    height, width = x.shape[1] + top + bottom, x.shape[2] + left + right
    return Tensor((None, height, width, x.shape[-1]), x.dtype, padding=Padding(x, (top, left, bottom, right)))


def cropping(graph: Graph, layer: Any, x: Tensor) -> Tensor:
    _check_channels_last(layer)
    (top, bottom), (left, right) = layer.cropping
    height, width = x.shape[1] - bottom, x.shape[2] - right
    corners = [graph.integers(values) for values in ((top, left), (height, width), (2, 3))]
    name = graph.node("Slice", graph.channels_first(x), *corners)
    return Tensor((None, height - top, width - left, x.shape[-1]), x.dtype, {Layout.CHANNELS_FIRST: name})


def batch_norm(graph: Graph, layer: Any, x: Tensor) -> Tensor:
    """Write BatchNorm, in inference mode, that stands behind no convolution; of a map it is one node."""
    if layer.axis not in (-1, len(x.shape) - 1):
        raise UnsupportedError(f"BatchNormalization over axis {layer.axis}")
    mean, variance = values_of(layer.moving_mean), values_of(layer.moving_variance)
    scale = values_of(layer.gamma) if layer.scale else np.ones_like(mean)
    shift = values_of(layer.beta) if layer.center else np.zeros_like(mean)
    if len(x.shape) != 4:
        factor = scale / np.sqrt(variance + layer.epsilon)
        return binary(graph, "Add", binary(graph, "Mul", x, factor), shift - mean * factor)
    named = {"scale": scale, "shift": shift, "mean": mean, "variance": variance}
    weights = [graph.constant(values, name) for name, values in named.items()]
    name = graph.node("BatchNormalization", graph.channels_first(x), *weights, epsilon=layer.epsilon)
    return Tensor(x.shape, x.dtype, {Layout.CHANNELS_FIRST: name})


def _check_channels_last(layer: Any) -> None:
    if layer.data_format != "channels_last":
        raise UnsupportedError(f"{type(layer).__name__} with channels first")
