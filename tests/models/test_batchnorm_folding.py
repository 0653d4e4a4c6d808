"""The folded twin computes what the network computes at inference, in value and gradient, on the same variables."""

from __future__ import annotations

import numpy as np
import pytest

from tests.backends import tensorflow_only
from transfercli.models.bases import BASES


def heavy(name: str):
    """A base whose graph takes long to build."""
    return pytest.param(name, marks=pytest.mark.slow)


FAMILIES = [
    "resnet18",
    "resnet50",
    "resnet50v2",
    "vgg16",
    "small_cnn",
    "densenet121",
    heavy("inceptionv3"),
    "xception",
    "mobilenet",
    "mobilenetv2",
    "mobilenetv3small",
    "efficientnetb0",
    "efficientnetv2b0",
    heavy("nasnetmobile"),
    "convnexttiny",
    heavy("inceptionresnetv2"),
    heavy("efficientnet_lite0"),
    heavy("mobilenetv3small_timm"),
    heavy("mobilenetv4_conv_small"),
]


def randomise(model) -> None:
    """Give every BatchNorm statistics, and a gamma and beta, that folding must not lose."""
    import keras

    rng = np.random.default_rng(7)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            shape = layer.moving_mean.shape
            layer.moving_mean.assign(rng.normal(0, 0.1, shape))
            layer.moving_variance.assign(rng.uniform(0.5, 1.5, shape))
            if layer.scale:
                layer.gamma.assign(rng.uniform(0.8, 1.2, shape))
            if layer.center:
                layer.beta.assign(rng.normal(0, 0.1, shape))


def small_base(name: str):
    import keras

    keras.utils.set_random_seed(0)
    side = max(32, BASES[name].minimum)
    base = BASES[name].build((side, side, 3))
    randomise(base)
    return base, np.random.default_rng(0).uniform(-1, 1, (2, side, side, 3)).astype("float32")


def assert_close(got, wanted, relative: float) -> None:
    """Equal within `relative` of the largest value."""
    got, wanted = np.asarray(got), np.asarray(wanted)
    np.testing.assert_allclose(got, wanted, rtol=0, atol=relative * max(np.abs(wanted).max(), 1e-30))


def kinds_of(twin) -> dict[str, str]:
    """Return layer name -> name of the function called instead."""
    return {name: getattr(instead, "func", instead).__name__ for name, instead in twin._replaced.items()}


@pytest.mark.parametrize("name", FAMILIES)
def test_a_twin_computes_what_its_base_computes_at_inference(name: str) -> None:
    from transfercli.models.batchnorm_folding import fold

    base, pixels = small_base(name)
    twin = fold(base)
    assert_close(twin(pixels, training=True), base(pixels, training=False), 1e-4)
    for kind in ("weights", "trainable_variables"):
        assert [id(v) for v in getattr(twin, kind)] == [id(v) for v in getattr(base, kind)]


@tensorflow_only("the gradients are computed by TensorFlow's tape")
@pytest.mark.parametrize("name", ["mobilenetv2", *map(heavy, ("resnet50", "densenet121", "inceptionv3"))])
def test_every_variable_has_the_same_gradient_through_the_twin(name: str) -> None:
    import keras

    from transfercli.models.batchnorm_folding import fold

    keras.config.set_dtype_policy("float64")  # float32 rounding moves activations across zero, and gradients jump
    try:
        base, pixels = small_base(name)
    finally:
        keras.config.set_dtype_policy("float32")
    wanted, got = gradients(base, pixels), gradients(fold(base), pixels)
    assert len(wanted) == len(base.trainable_variables)
    for variable, a, b in zip(base.trainable_variables, got, wanted, strict=True):
        assert np.abs(b).max() > 0, variable.path
        assert_close(a, b, 1e-9)


def gradients(model, pixels: np.ndarray) -> list[np.ndarray]:
    """Of a loss that weighs every output differently, as one traced training step computes them."""
    import tensorflow as tf

    @tf.function
    def step(pixels):
        with tf.GradientTape() as tape:
            outputs = model(pixels, training=False)
            weights = tf.reshape(tf.cos(tf.range(tf.cast(tf.size(outputs), outputs.dtype))), tf.shape(outputs))
            loss = tf.reduce_sum(outputs * weights)
        return tape.gradient(loss, [v.value for v in model.trainable_variables])

    return [np.asarray(gradient) for gradient in step(pixels)]


def every_kind():
    """Layers that fold, with and without a bias, gamma and beta, and an input for them."""
    from keras import Input, Model, layers

    image = Input((9, 9, 4))
    x = layers.Conv2D(6, 3, strides=2, padding="same", use_bias=True, name="conv")(image)
    x = layers.BatchNormalization(scale=False, name="conv_bn")(x)
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, use_bias=False, name="depthwise")(x)
    x = layers.BatchNormalization(center=False, name="depthwise_bn")(x)
    x = layers.SeparableConv2D(5, 3, padding="same", depth_multiplier=2, name="separable")(x)
    x = layers.BatchNormalization(name="separable_bn")(layers.ReLU()(layers.BatchNormalization(name="first_bn")(x)))
    x = layers.Dense(7, name="dense")(layers.Flatten()(x))
    x = layers.BatchNormalization(scale=False, center=False, name="dense_bn")(x)
    model = Model(image, x)
    for layer in model.layers:
        if getattr(layer, "use_bias", False):
            layer.bias.assign(np.linspace(-1, 1, layer.bias.shape[0]))
    randomise(model)
    return model, np.random.default_rng(1).normal(size=(3, 9, 9, 4)).astype("float32")


@tensorflow_only("the gradients are computed by TensorFlow's tape")
def test_each_linear_layer_takes_its_batchnorm_in() -> None:
    from transfercli.models.batchnorm_folding import fold

    model, inputs = every_kind()
    twin = fold(model)
    assert_close(twin(inputs), model(inputs, training=False), 1e-5)
    for a, b in zip(gradients(twin, inputs), gradients(model, inputs), strict=True):
        assert_close(a, b, 1e-5)
    folded = {name for name, kind in kinds_of(twin).items() if kind == "_folded"}
    assert folded == {"conv_bn", "depthwise_bn", "first_bn", "dense_bn"}
    assert kinds_of(twin)["separable_bn"] == "_affine"


def test_a_layer_that_others_read_too_keeps_its_output() -> None:
    from keras import Input, Model, layers

    from transfercli.models.batchnorm_folding import fold

    image = Input((6, 6, 3))
    x = layers.Conv2D(4, 3, name="read_twice")(image)
    y = layers.Conv2D(4, 1, activation="relu", name="active")(layers.BatchNormalization(name="a")(x))
    shared = layers.Conv2D(4, 1, name="shared")
    z = layers.add([shared(layers.BatchNormalization(name="b")(shared(x))), layers.BatchNormalization(name="c")(y)])
    shown = layers.Conv2D(2, 1, name="shown")(z)
    model = Model(image, [shown, layers.BatchNormalization(name="d")(shown)])
    randomise(model)
    inputs = np.random.default_rng(2).normal(size=(2, 6, 6, 3)).astype("float32")
    twin = fold(model)
    for got, wanted in zip(twin(inputs), model(inputs, training=False), strict=True):
        assert_close(got, wanted, 1e-5)
    assert kinds_of(twin) == dict.fromkeys("abcd", "_affine")


def test_a_part_of_a_base_folds() -> None:
    import keras

    from transfercli.models.batchnorm_folding import fold

    base, pixels = small_base("resnet18")
    cut = base.get_layer("conv3_block2_out").output
    prefix, suffix = keras.Model(base.input, cut), keras.Model(cut, base.output)
    features = fold(prefix)(pixels)
    assert_close(fold(suffix)(features), base(pixels, training=False), 1e-5)
    assert [v.path for v in fold(suffix).weights] == [v.path for v in suffix.weights]


def test_dropout_and_statistics_stay_still_inside_a_training_step() -> None:
    from keras import Input, Model, layers

    from transfercli.models.batchnorm_folding import fold

    image = Input((4,))
    model = Model(image, layers.Dropout(0.5)(layers.BatchNormalization(name="norm")(image)))
    inputs = np.random.default_rng(3).normal(5, 1, (8, 4)).astype("float32")
    before = np.asarray(model.get_layer("norm").moving_mean)
    assert_close(fold(model)(inputs, training=True), model(inputs, training=False), 1e-6)
    np.testing.assert_array_equal(model.get_layer("norm").moving_mean, before)


def test_kernels_are_folded_in_float32_where_a_twin_computes_in_bfloat16() -> None:
    import keras

    from transfercli.models.batchnorm_folding import fold
    from transfercli.models.forward import computing_in

    image = keras.Input((8,))
    x = keras.layers.Dense(1, use_bias=False, name="dense", kernel_initializer="ones")(image)
    norm = keras.layers.BatchNormalization(epsilon=0.0, name="norm")
    twin = fold(keras.Model(image, norm(x)))
    norm.moving_variance.assign([1 / 1.01**2])  # a scale of 1.01 rounds to 1.0078 in bfloat16, and so would a product
    norm.gamma.assign([1 / 1.01])
    with computing_in("bfloat16", twin):
        got = twin(np.ones((1, 8), "float32"))
        assert keras.backend.standardize_dtype(got.dtype) == "bfloat16"
    np.testing.assert_array_equal(np.asarray(got, "float32"), [[8.0]])


def classifier_on(base, fold_it: bool):
    import keras

    from transfercli.models.batchnorm_folding import fold

    class AtInference(keras.layers.Layer):
        """Keras's own way: BatchNorm as separate steps, also inside `train_on_batch` on its moving statistics."""

        def __init__(self) -> None:
            super().__init__()
            self.base = base

        def call(self, inputs):
            return self.base(inputs, training=False)

        def compute_output_shape(self, _):
            return base.output.shape

    image = keras.Input(base.input.shape[1:])
    x = (fold(base) if fold_it else AtInference())(image)
    x = keras.layers.GlobalAveragePooling2D()(x)
    logits = keras.layers.Dense(3, name="logits", kernel_initializer=keras.initializers.RandomNormal(seed=3))(x)
    return keras.Model(image, logits)


def losses(base, start: list[np.ndarray], *, fold_it: bool, steps: int = 6) -> tuple[list[float], list[np.ndarray]]:
    """Train with AdamW and L2 from `start`; the loss of every step, and the weights afterwards."""
    import keras

    from transfercli.config.schema import OptimizerConfig, RegularizationConfig
    from transfercli.training.optim.optimizers import build_optimizer, regularize

    base.set_weights(start)
    model = classifier_on(base, fold_it)
    regularize(model, RegularizationConfig(l2=1e-3))
    optimizer = build_optimizer(OptimizerConfig(name="adamw", weight_decay=0.1), 1e-4)
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    rng = np.random.default_rng(5)
    batch = rng.normal(size=(8, *base.input.shape[1:])).astype("float32"), rng.integers(0, 3, 8)
    return [float(model.train_on_batch(*batch)) for _ in range(steps)], model.get_weights()


@pytest.mark.slow
def test_training_through_a_twin_is_training_the_base_and_repeats_bit_for_bit() -> None:
    base, _ = small_base("resnet18")
    for layer in base.layers[:20]:
        layer.trainable = False
    start = base.get_weights()
    plain, weights = losses(base, start, fold_it=False)
    folded, _ = losses(base, start, fold_it=True)
    np.testing.assert_allclose(folded, plain, rtol=1e-4)
    assert len(set(folded)) == len(folded), "nothing was trained"
    again, twice = losses(base, start, fold_it=True)
    once = losses(base, start, fold_it=True)[1]
    assert again == folded
    for a, b in zip(once, twice, strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(once, weights, strict=True):
        assert_close(a, b, 1e-2)


def test_a_model_that_is_not_functional_is_refused() -> None:
    import keras

    from transfercli.models.batchnorm_folding import fold

    with pytest.raises(TypeError, match="only a functional model can be folded; received Sequential 'plain'"):
        fold(keras.Sequential([keras.layers.Dense(2)], name="plain"))
