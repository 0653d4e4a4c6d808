"""The table of rules: the name of a kind of operation in Keras, and how it is written to an ONNX graph.

A rule is called with the graph, the operation, and the arguments of its call, with tensors of the graph in place of
Keras's. It returns the result, or raises `UnsupportedError`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from transfercli.export.onnx_graph import rules_of_axes as axes
from transfercli.export.onnx_graph import rules_of_maps as maps
from transfercli.export.onnx_graph import rules_of_values as values
from transfercli.export.onnx_graph.graph import UnsupportedError

Rule = Callable[..., Any]

LAYERS: dict[str, Rule] = {
    "Activation": values.activation,
    "Add": values.merging("Add"),
    "AveragePooling2D": maps.pooling("AveragePool", count_include_pad=0),
    "BatchNormalization": maps.batch_norm,
    "Concatenate": axes.concatenation,
    "Conv2D": maps.convolution,
    "Cropping1D": axes.cropped_tokens,
    "Cropping2D": maps.cropping,
    "CustomScaleLayer": values.scaled_sum,
    "Dense": values.dense,
    "DepthwiseConv2D": maps.depthwise,
    "Dropout": values.unchanged,
    "Flatten": axes.reshape,
    "GlobalAveragePooling1D": values.global_pooling_of_tokens("ReduceMean"),
    "GlobalAveragePooling2D": maps.global_pooling("GlobalAveragePool"),
    "GlobalMaxPooling1D": values.global_pooling_of_tokens("ReduceMax"),
    "GlobalMaxPooling2D": maps.global_pooling("GlobalMaxPool"),
    "LayerNormalization": values.layer_norm,
    "LayerScale": values.layer_scale,
    "MaxPooling2D": maps.pooling("MaxPool"),
    "Maximum": values.merging("Max"),
    "Multiply": values.merging("Mul"),
    "ReLU": values.relu,
    "Rescaling": values.rescaling,
    "Reshape": axes.reshape,
    "SeparableConv2D": maps.separable,
    "Softmax": values.softmax_layer,
    "Subtract": values.merging("Sub"),
    "UnitNormalization": values.unit_norm,
    "ZeroPadding2D": maps.zero_padding,
}
OPERATIONS: dict[str, Rule] = {
    "Absolute": values.of_one("Abs"),
    "Add": values.of_two("Add"),
    "Cast": values.cast,
    "Concatenate": axes.concatenation,
    "Divide": values.of_two("Div"),
    "Exp": values.of_one("Exp"),
    "ExpandDims": axes.reshape,
    "Flip": axes.flip,
    "Gelu": values.gelu,
    "GetItem": axes.item,
    "Log": values.of_one("Log"),
    "Matmul": values.matrix_product,
    "Max": values.reduction("ReduceMax"),
    "Mean": values.reduction("ReduceMean"),
    "Min": values.reduction("ReduceMin"),
    "Multiply": values.of_two("Mul"),
    "Negative": values.of_one("Neg"),
    "Relu": values.of_one("Relu"),
    "Reshape": axes.reshape,
    "Sigmoid": values.of_one("Sigmoid"),
    "Sign": values.of_one("Sign"),
    "Softmax": values.softmax_layer,
    "Softplus": values.of_one("Softplus"),
    "Sqrt": values.of_one("Sqrt"),
    "Square": values.square,
    "Subtract": values.of_two("Sub"),
    "Sum": values.reduction("ReduceSum"),
    "Tanh": values.of_one("Tanh"),
    "Transpose": axes.transpose,
    "TrueDivide": values.of_two("Div"),
}


def rule_of(operation: Any) -> Rule:
    """Return the rule of a layer or a bare operation. Raises `UnsupportedError` if there is none."""
    import keras

    kind = type(operation)
    table = LAYERS if isinstance(operation, keras.layers.Layer) else OPERATIONS
    if kind.__name__ not in table or not kind.__module__.startswith("keras."):
        raise UnsupportedError(kind.__name__)
    return table[kind.__name__]
