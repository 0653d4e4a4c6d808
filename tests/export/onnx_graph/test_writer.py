"""Networks of the kinds of layers that bases and heads have, written as ONNX and run by onnxruntime."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

from transfercli.export.formats.onnx import import_onnxruntime
from transfercli.export.onnx_graph.graph import UnsupportedError
from transfercli.export.onnx_graph.writer import OPSET, write_graph

SIDE = 11  # odd, so that padding "same" is uneven


def written(model):
    import onnx

    proto = write_graph(model, "images", ("probabilities", "unknown"))
    onnx.checker.check_model(proto, full_check=True)
    return proto


def answers(proto, images: np.ndarray) -> list[np.ndarray]:
    session = import_onnxruntime().InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"images": images})


def kinds(proto) -> Counter[str]:
    return Counter(node.op_type for node in proto.graph.node)


def network(build: Callable, dtype: str = "uint8"):
    """Return a model from images to what `build` makes of them, with weights that are all different."""
    import keras

    image = keras.Input((SIDE, SIDE, 3), dtype=dtype, name="image")
    model = keras.Model(image, build(keras.layers.Rescaling(1 / 255, name="preprocess")(image)), name="predictor")
    rng = np.random.default_rng(0)
    for variable in model.weights:
        variable.assign(
            rng.uniform(0.1, 0.9, variable.shape) * (1 if "variance" in variable.path else rng.choice((-1, 1)))
        )
    return model


def pictures(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, SIDE, SIDE, 3)).astype("uint8")


def conv(x, **arguments):
    from keras import layers

    return layers.Conv2D(**{"filters": 4, "kernel_size": 3, **arguments})(x)


def convolutions(x):
    from keras import layers

    x = conv(layers.ZeroPadding2D(((1, 2), (0, 1)))(x), strides=2, activation="relu")
    x = layers.DepthwiseConv2D((3, 2), 2, padding="same", depth_multiplier=2, activation="silu")(x)
    x = conv(x, filters=8, groups=4, dilation_rate=2, padding="same", use_bias=False)
    x = layers.SeparableConv2D(6, 3, 2, padding="same", activation="tanh")(x)
    return layers.Flatten()(x)


def pools(x):
    from keras import layers

    x = layers.BatchNormalization()(conv(x, filters=6))
    same = [layers.AveragePooling2D(3, 2, padding="same")(x), layers.MaxPooling2D(2, 2, padding="same")(x)]
    x = layers.Concatenate()(
        [*same, layers.ZeroPadding2D(((1, 0), (0, 1)))(layers.Cropping2D(((1, 0), (0, 1)))(same[0]))]
    )
    x = layers.MaxPooling2D(2)(layers.ZeroPadding2D(1)(x))
    return layers.Concatenate()([layers.GlobalAveragePooling2D()(x), layers.GlobalMaxPooling2D()(x)])


def excited(x):
    """Squeeze and excitation, as EfficientNet (reshaped) and MobileNetV3 (kept axes) write it."""
    from keras import layers

    x = conv(x, activation="hard_silu")
    for squeezed in (
        layers.Reshape((1, 1, 4))(layers.GlobalAveragePooling2D()(x)),
        layers.GlobalAveragePooling2D(keepdims=True)(x),
    ):
        gate = conv(layers.ReLU(6.0)(conv(squeezed, kernel_size=1)), kernel_size=1, activation="sigmoid")
        x = layers.Multiply()([x, gate])
    return layers.GlobalAveragePooling2D()(x)


def next_block(x):
    """Blocks of ConvNeXt, with a Sequential inside, and the scaled sum of Inception-ResNet."""
    import keras
    from keras import layers
    from keras.src.applications.convnext import LayerScale
    from keras.src.applications.inception_resnet_v2 import CustomScaleLayer

    x = keras.Sequential([layers.LayerNormalization(epsilon=1e-6), layers.Conv2D(4, 2, 2)], name="stem")(x)
    y = layers.LayerNormalization(epsilon=1e-6)(layers.DepthwiseConv2D(3, padding="same")(x))
    y = layers.Dense(4)(layers.Activation("gelu")(layers.Dense(8)(y)))
    x = layers.Add()([x, LayerScale(0.5, 4)(y)])
    return layers.GlobalAveragePooling2D()(CustomScaleLayer(0.3)([x, conv(x, padding="same")]))


def transformer(x):
    """Tokens of a vision transformer: learned and computed constants, attention, class token and mean."""
    from keras import layers, ops

    patches = layers.Reshape((9, 4))(conv(x, strides=3))
    index = ops.cast(ops.cumsum(ops.tile(ops.ones_like(patches[:, :1, 0]), (1, 9)), axis=1) - 1, "int32")
    x = layers.Add()([patches, layers.Embedding(9, 4)(index)])
    token = layers.Embedding(1, 4)(ops.cast(ops.ones_like(patches[:, :1, 0]) - 1, "int32"))
    x = layers.LayerNormalization()(layers.Concatenate(axis=1)([token, x]))
    heads = ops.transpose(ops.reshape(layers.Dense(4)(x), (-1, 10, 2, 2)), (0, 2, 1, 3))
    attention = layers.Softmax()(ops.matmul(heads, ops.transpose(heads, (0, 1, 3, 2))) / 1.4)
    x = ops.reshape(ops.transpose(ops.matmul(attention, heads), (0, 2, 1, 3)), (-1, 10, 4))
    x = ops.concatenate([x[..., :2] * 0.5 - x[..., 2:], ops.gelu(x[..., 2:], approximate=True)], axis=-1)
    patches = layers.GlobalAveragePooling1D()(layers.Cropping1D((1, 0))(x))
    return ops.concatenate([x[:, 0], patches, layers.GlobalMaxPooling1D()(x), ops.mean(x, axis=1), x[:, -1]], axis=-1)


def distances(x):
    """Operations of the out-of-distribution score, and the output of a sigmoid head."""
    from keras import layers, ops

    x = layers.UnitNormalization()(layers.Dense(5)(layers.Flatten()(ops.flip(x, axis=-1))))
    top = ops.max(x, axis=1, keepdims=True)
    energy = -(top[:, 0] + ops.log(ops.sum(ops.exp(x - top), axis=1)))
    least = ops.sqrt(ops.relu(ops.min(ops.square(x), axis=1)) + 1e-6)
    return layers.Concatenate()([ops.sigmoid(-x), (energy + 2.0 * least)[:, None]])


def roots(x):
    """Pooled features of two layers, some of them negative, as a head that reads several normalises them."""
    from keras import layers

    from transfercli.models.normalised import side_by_side

    below = conv(x)
    vectors = [layers.GlobalAveragePooling2D()(one) for one in (below, conv(below))]
    return layers.Dense(4)(side_by_side(vectors, "root"))


def grey(x):
    from keras import layers, ops

    return layers.Flatten()(conv(ops.sum(layers.Rescaling([0.3, 0.6, 0.1])(x), axis=-1, keepdims=True)))


NETWORKS = (convolutions, pools, excited, next_block, transformer, distances, roots, grey)


@pytest.mark.parametrize("build", NETWORKS, ids=lambda build: build.__name__)
def test_answers_are_those_of_keras_for_any_batch(build):
    model = network(build)
    proto = written(model)
    for count in (1, 5):
        images = pictures(count)
        (found,) = answers(proto, images)
        expected = np.asarray(model(images, training=False))
        assert expected.std() > 1e-3
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_bytes_do_not_depend_on_what_was_built_before():
    first, second = (written(network(transformer)).SerializeToString(deterministic=True) for _ in range(2))
    assert first == second


def test_names_and_the_free_batch_size_are_fixed():
    import keras

    image = keras.Input((SIDE, SIDE, 3), dtype="uint8", name="image")
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(image))
    proto = written(keras.Model(image, [keras.layers.Dense(3)(x), x[:, 0]], name="predictor"))
    values = [*proto.graph.input, *proto.graph.output]
    assert [value.name for value in values] == ["images", "probabilities", "unknown"]
    assert [value.type.tensor_type.shape.dim[0].dim_param for value in values] == ["batch"] * 3
    assert (proto.opset_import[0].version, proto.ir_version) == (OPSET, 9)
    assert [found.shape for found in answers(proto, pictures(2))] == [(2, 3), (2,)]


def test_a_convolutional_network_is_transposed_once_and_padding_is_part_of_convolutions():
    from keras import layers

    def build(x):
        for _ in range(2):
            y = layers.BatchNormalization()(conv(layers.ZeroPadding2D(1)(x), activation="relu"))
            parts = [conv(y[..., start : start + 2], filters=2, padding="same") for start in (0, 2)]
            x = layers.Add()([y, layers.Concatenate()(parts)])
        return layers.GlobalAveragePooling2D()(x)

    found = kinds(written(network(build)))
    assert (found["Transpose"], found["Pad"]) == (1, 0)


def test_constants_of_a_transformer_are_computed_once():
    found = kinds(written(network(transformer)))
    assert not {"CumSum", "Tile"} & found.keys()


@pytest.mark.parametrize(
    "layer, reason",
    [
        (lambda layers: layers.Conv2DTranspose(2, 3), "Conv2DTranspose"),
        (lambda layers: layers.Conv2D(2, 3, activation="mish"), "activation mish"),
        (lambda layers: layers.LayerNormalization(axis=1), "LayerNormalization over axes"),
        (lambda layers: layers.ReLU(negative_slope=0.1), "ReLU with a slope"),
        (lambda layers: layers.Softmax(axis=(1, 2)), "Softmax over several axes"),
    ],
)
def test_a_layer_without_a_rule_is_named(layer, reason):
    from keras import layers

    with pytest.raises(UnsupportedError, match=reason):
        written(network(lambda x: layers.GlobalAveragePooling2D()(layer(layers)(x))))


def test_a_class_of_others_is_not_taken_for_the_layer_of_its_name():
    from keras import layers

    class Dense(layers.Dense):
        def call(self, x):
            return super().call(x) + 1

    with pytest.raises(UnsupportedError, match="Dense"):
        written(network(lambda x: Dense(2)(layers.GlobalAveragePooling2D()(x))))
