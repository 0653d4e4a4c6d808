"""Networks of inverted residual blocks: EfficientNets and MobileNets as several libraries build them.

The libraries differ in what no shape shows. TensorFlow pads unevenly at stride 2 and has an epsilon of 1e-3 in
BatchNorm; PyTorch pads evenly and has 1e-5 or 1e-3. The weights of one give wrong features in the other.
"""

from __future__ import annotations

import keras
from keras import layers

from transfercli.models.networks.arguments import check_random_weights
from transfercli.models.networks.mobile_blocks import Block, MobileNetwork

Shape = tuple[int, int, int]


class _Layers:
    """Maker of the layers of one network."""

    def __init__(self, network: MobileNetwork) -> None:
        self.padding, self.epsilon, self.gate = network.padding, network.epsilon, network.gate
        self.momentum = 0.99 if network.padding == "tensorflow" else 0.9  # in Keras's sense

    def convolution(self, x: keras.KerasTensor, filters: int, side: int, stride: int, name: str) -> keras.KerasTensor:
        """Add a convolution without bias."""
        x, padding = self._padded(x, side, stride, name)
        return layers.Conv2D(
            filters,
            side,
            stride,
            padding=padding,
            use_bias=False,
            kernel_initializer=keras.initializers.VarianceScaling(2.0, "fan_out"),
            name=name,
        )(x)

    def depthwise(self, x: keras.KerasTensor, side: int, stride: int, name: str) -> keras.KerasTensor:
        """Add a depthwise convolution without bias."""
        x, padding = self._padded(x, side, stride, name)
        return layers.DepthwiseConv2D(
            side, stride, padding=padding, use_bias=False, depthwise_initializer="he_normal", name=name
        )(x)

    def _padded(self, x: keras.KerasTensor, side: int, stride: int, name: str) -> tuple[keras.KerasTensor, str]:
        """Return the input of a convolution and its padding; Keras's "same" is even at stride 1 only."""
        if self.padding == "even" and stride > 1 and side > 1:
            return layers.ZeroPadding2D(side // 2, name=f"{name}_pad")(x), "valid"
        return x, "same"

    def normalized(self, x: keras.KerasTensor, name: str, activation: str | None = None) -> keras.KerasTensor:
        """Add a BatchNorm and an activation. name: start of their names."""
        x = layers.BatchNormalization(epsilon=self.epsilon, momentum=self.momentum, name=f"{name}bn")(x)
        return _activated(x, activation, f"{name}activation") if activation else x

    def squeezed(self, x: keras.KerasTensor, channels: int, activation: str, name: str) -> keras.KerasTensor:
        """Add squeeze and excitation (Hu et al. 2018)."""
        filters = x.shape[-1]
        y = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}se_squeeze")(x)
        y = layers.Conv2D(channels, 1, name=f"{name}se_reduce")(y)
        y = _activated(y, activation, f"{name}se_activation")
        y = layers.Conv2D(filters, 1, name=f"{name}se_expand")(y)
        y = layers.Activation(self.gate, name=f"{name}se_gate")(y)
        return layers.Multiply(name=f"{name}se_excite")([x, y])


def mobile_network(
    weights: None = None,
    include_top: bool = False,
    input_shape: Shape = (224, 224, 3),
    *,
    name: str,
    network: MobileNetwork,
) -> keras.Model:
    """Build a network without its head: image [N, H, W, C] -> features [N, h, w, channels].

    Layers have the names of Keras's EfficientNets: `block2a_expand_conv` is in the first block of the second stage.
    """
    check_random_weights(weights, include_top, name)
    make = _Layers(network)
    image = layers.Input(input_shape, name="image")
    x = make.convolution(image, network.stem, 3, 2, "stem_conv")
    x = make.normalized(x, "stem_", network.activation)
    for number, blocks in enumerate(network.stages, start=1):
        for position, block in enumerate(blocks):
            x = _block(make, x, block, f"block{number}{chr(ord('a') + position)}_")
    if network.top:
        x = make.normalized(make.convolution(x, network.top, 1, 1, "top_conv"), "top_", network.activation)
    return keras.Model(image, x, name=name)


def _block(make: _Layers, x: keras.KerasTensor, block: Block, name: str) -> keras.KerasTensor:
    """Add a block. name: start of its layers' names."""
    shortcut = x
    stride = block.stride
    if not block.projected:
        return make.normalized(
            make.convolution(x, block.filters, block.fused, stride, f"{name}conv"), name, block.activation
        )
    if block.start:
        x = make.depthwise(x, block.start, 1 if block.kernel else stride, f"{name}start_dwconv")
        x = make.normalized(x, f"{name}start_")
    if block.expanded:
        x = make.convolution(x, block.expanded, block.fused, stride if block.fused > 1 else 1, f"{name}expand_conv")
        x = make.normalized(x, f"{name}expand_", block.activation)
    if block.kernel:
        x = make.depthwise(x, block.kernel, stride, f"{name}dwconv")
        x = make.normalized(x, name, block.activation)
    if block.squeeze:
        x = make.squeezed(x, block.squeeze, "relu" if block.activation == "hard_silu" else block.activation, name)
    x = make.normalized(make.convolution(x, block.filters, 1, 1, f"{name}project_conv"), f"{name}project_")
    if stride == 1 and shortcut.shape[-1] == block.filters:
        x = layers.Add(name=f"{name}add")([shortcut, x])
    return x


def _activated(x: keras.KerasTensor, activation: str, name: str) -> keras.KerasTensor:
    if activation == "relu6":
        return layers.ReLU(6.0, name=name)(x)
    return layers.Activation(activation, name=name)(x)
