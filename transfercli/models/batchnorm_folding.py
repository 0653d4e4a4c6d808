"""BatchNorm folding: a model with the same variables whose BatchNorm is folded into the layers before it.

At inference BatchNorm is the affine map y = x * s + t with s = gamma / sqrt(variance + epsilon) and
t = beta - mean * s. After a convolution with kernel W and bias b, both together are one convolution with kernel W * s
and bias b * s + t (Jacob et al. 2018, "Quantization and Training of Neural Networks", section 3.2). The folded model
computes that in every step from the original variables, so outputs and gradients are equal, and nothing is copied.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import keras
from keras import layers, ops

from transfercli.models.keras_internals import graph_arguments, graph_nodes, without_autocast
from transfercli.models.networks.drop_path import DropPath

Tensor = Any

# Assumed batch size and image side if they are unknown: they choose the faster of two equal computations.
USUAL_BATCH, USUAL_SIDE = 32, 224


def fold(model: keras.Model) -> keras.Model:
    """Return a functional model with the inputs, outputs, layers and variables (in the same order) of `model`.

    It always computes in inference mode, also inside a training step (only drop-path follows the mode), with each
    BatchNorm folded into the
    convolution or dense layer before it. If there is none, or if another layer also reads its output, BatchNorm is
    one multiplication and one addition. Trainable flags and dtype policies are read from the layers at every call.
    Raises `TypeError` if the model is not functional.
    """
    if not isinstance(model, keras.Function):
        raise TypeError(f"only a functional model can be folded; received {type(model).__name__} {model.name!r}")
    return FoldedModel(**graph_arguments(model))


class FoldedModel(keras.Model):
    """Functional model that calls folded operations; made by `fold`."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._replaced = _replacements(self)

    def call(self, inputs: Tensor, training: bool | None = None, mask: Tensor = None) -> Tensor:
        in_training = partial(self._operation, training=bool(training))
        outputs = self._run_through_graph(self._standardize_inputs(inputs), in_training)
        return outputs[0] if isinstance(outputs, list) and len(outputs) == 1 else outputs

    def _operation(self, operation: Any, training: bool) -> Callable[..., Tensor]:
        replacement = self._replaced.get(operation.name)
        if replacement:
            return lambda x, **_: replacement(x)  # `mask` is the only other argument
        if isinstance(operation, layers.Layer):
            mode = training and isinstance(operation, DropPath)
            # The graph keeps the mode in which it was built, so that of this call replaces it.
            return lambda *args, **kwargs: operation(*args, **{**kwargs, "training": mode})
        return operation


# -- pairs to fold


def _replacements(model: keras.Model) -> dict[str, Callable[[Tensor], Tensor]]:
    """Return layer name -> the function called instead: the folded pair for BatchNorm, identity for its convolution."""
    replaced: dict[str, Callable[[Tensor], Tensor]] = {
        node.operation.name: partial(_affine, node.operation) for node in _batchnorm_nodes(model)
    }
    for linear, norm in foldable(model):
        replaced |= {linear.name: _identity, norm.name: partial(_folded, linear, norm)}
    return replaced


def foldable(model: keras.Model) -> list[tuple[Any, layers.BatchNormalization]]:
    """Return (layer, BatchNorm) pairs: a convolution or dense layer whose output only that BatchNorm reads."""
    nodes = [node for node in graph_nodes(model) if not node.is_input]
    calls = Counter(node.operation.name for node in nodes)
    readers = Counter(id(x) for node in nodes for x in node.input_tensors) + Counter(id(x) for x in model.outputs)
    producers = {id(x): node.operation for node in nodes for x in node.outputs}
    pairs = []
    for node in _batchnorm_nodes(model):
        (x,) = node.input_tensors
        linear: Any = producers.get(id(x))
        if _is_linear(linear) and readers[id(x)] == calls[node.operation.name] == calls[linear.name] == 1:
            pairs.append((linear, node.operation))
    return pairs


def _batchnorm_nodes(model: keras.Model) -> list[Any]:
    """Return the graph nodes that call BatchNorm over the last axis."""
    return [
        node
        for node in graph_nodes(model)
        if type(node.operation) is layers.BatchNormalization and _is_last_axis(node.operation.axis, node.outputs[0])
    ]


def _identity(x: Tensor) -> Tensor:
    return x


def _is_last_axis(axis: int, x: keras.KerasTensor) -> bool:
    return axis in (-1, len(x.shape) - 1)


def _is_linear(layer: Any) -> bool:
    return (
        type(layer) in LINEAR
        and layer.activation is keras.activations.linear
        and layer.activity_regularizer is None
        and getattr(layer, "data_format", "channels_last") == "channels_last"
    )


# -- folded computation


def scale_and_shift(norm: layers.BatchNormalization, bias: Tensor = 0.0) -> tuple[Tensor, Tensor]:
    """Return s and (bias - mean) * s + beta of a BatchNorm, float32 [C].

    Only two terms use s: TensorFlow may sum three gradients in any order, so a training would not be reproducible.
    """
    scale = ops.rsqrt(norm.moving_variance + norm.epsilon)
    if norm.scale:
        scale = scale * norm.gamma
    shift = (bias - norm.moving_mean) * scale
    return scale, shift + norm.beta if norm.center else shift


def _affine(norm: layers.BatchNormalization, x: Tensor) -> Tensor:
    with without_autocast():
        scale, shift = (ops.cast(v, norm.compute_dtype) for v in scale_and_shift(norm))
    return ops.add(ops.cast(x, norm.compute_dtype) * scale, shift)


def _folded(linear: Any, norm: layers.BatchNormalization, x: Tensor) -> Tensor:
    """Return `norm(linear(x))`, computed by one convolution; the kernel is folded in float32, then cast once."""
    dtype = linear.compute_dtype
    with without_autocast():
        scale, shift = scale_and_shift(norm, linear.bias if linear.use_bias else 0.0)
        x = LINEAR[type(linear)](linear, ops.cast(x, dtype), scale)
    # TensorFlow fuses `ops.add` of a vector (a bias addition) and the ReLU after it into the convolution
    return ops.cast(ops.add(x, ops.cast(shift, dtype)), norm.compute_dtype)


def _scaled_product(
    apply: Callable[[Tensor, Tensor], Tensor], x: Tensor, kernel: Tensor, scale: Tensor, rows: int
) -> Tensor:
    """Return `apply(x, kernel * scale)`, or the equal `apply(x, kernel) * scale` if that multiplies fewer numbers.

    rows: positions of the output in a usual batch. If there are fewer of them than inputs to each output channel, the
    output is smaller than the kernel, in the step and in its gradient. (A kernel that is cast is rewritten anyway.)
    """
    if rows < math.prod(kernel.shape[:-1]) and x.dtype == kernel.dtype:
        return apply(x, kernel) * scale
    return apply(x, ops.cast(kernel * scale, x.dtype))


def _convolution(layer: layers.Conv2D, x: Tensor, scale: Tensor) -> Tensor:
    kernel = ops.convert_to_tensor(layer.kernel)
    positions = math.prod(side or USUAL_SIDE for side in x.shape[1:-1]) // math.prod(layer.strides)
    return _scaled_product(layer.convolution_op, x, kernel, scale, USUAL_BATCH * positions)


def _depthwise(layer: layers.DepthwiseConv2D, x: Tensor, scale: Tensor) -> Tensor:
    kernel = layer.kernel * ops.reshape(scale, (-1, layer.depth_multiplier))
    return ops.depthwise_conv(
        x, ops.cast(kernel, x.dtype), layer.strides, layer.padding, layer.data_format, layer.dilation_rate
    )


def _separable(layer: layers.SeparableConv2D, x: Tensor, scale: Tensor) -> Tensor:
    depthwise, pointwise = (ops.cast(k, x.dtype) for k in (layer.depthwise_kernel, layer.pointwise_kernel * scale))
    return ops.separable_conv(
        x, depthwise, pointwise, layer.strides, layer.padding, layer.data_format, layer.dilation_rate
    )


def _dense(layer: layers.Dense, x: Tensor, scale: Tensor) -> Tensor:
    return _scaled_product(ops.matmul, x, ops.convert_to_tensor(layer.kernel), scale, USUAL_BATCH)


LINEAR: dict[type, Callable[[Any, Tensor, Tensor], Tensor]] = {
    layers.Conv2D: _convolution,
    layers.DepthwiseConv2D: _depthwise,
    layers.SeparableConv2D: _separable,
    layers.Dense: _dense,
}
