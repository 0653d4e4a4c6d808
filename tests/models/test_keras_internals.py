"""What is relied upon of Keras's private side; each test names what would break with a version that changed it."""

from pathlib import Path

import keras
import numpy as np
import pytest

from tests.backends import tensorflow_only
from transfercli.models.keras_internals import (
    graph_arguments,
    graph_nodes,
    has_inner_layers,
    inner_layers,
    producer_of,
    reported_downloads,
    skip_gradient_sum,
    variable_index,
    without_autocast,
)


@pytest.fixture(scope="module")
def nested():
    inner = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(3, name="deep"), keras.layers.Dropout(0.5)], name="inner"
    )
    x = keras.Input((4,), name="x")
    return keras.Model(x, keras.layers.Dense(2, name="top")(inner(x)), name="nested")


def test_layers_are_found_at_every_depth_and_the_model_itself_is_not_among_them(nested):
    names = [layer.name for layer in inner_layers(nested)]
    assert {"inner", "deep", "top"} <= set(names)
    assert "nested" not in names


def test_a_model_has_inner_layers_and_a_dense_layer_has_none(nested):
    assert has_inner_layers(nested.get_layer("inner"))
    assert not has_inner_layers(nested.get_layer("top"))


def test_every_call_is_a_node_and_a_tensor_knows_what_gave_it(nested):
    called = {node.operation.name: node for node in graph_nodes(nested)}
    assert set(called) == {"x", "inner", "top"}
    assert [node.operation.name for node in called.values() if node.is_input] == ["x"]
    assert producer_of(called["top"].input_tensors[0]).name == "inner"
    assert producer_of(nested.output).name == "top"


def test_a_model_of_another_class_with_the_same_structure_gives_the_same(nested):
    class Other(keras.Model):
        pass

    pixels = np.ones((2, 4), "float32")
    assert np.array_equal(Other(**graph_arguments(nested))(pixels), nested(pixels))


def test_variables_keep_their_own_type_where_autocast_is_off():
    seen = []

    class Reads(keras.layers.Layer):
        def build(self, shape):
            self.kernel = self.add_weight(shape=(1,))

        def call(self, x):
            seen.append(keras.backend.standardize_dtype(keras.ops.convert_to_tensor(self.kernel).dtype))
            with without_autocast():
                seen.append(keras.backend.standardize_dtype(keras.ops.convert_to_tensor(self.kernel).dtype))
            return x

    Reads(dtype="mixed_bfloat16")(np.ones((1, 1), "float32"))
    assert seen[-2:] == ["bfloat16", "float32"]


def test_an_optimizer_knows_the_place_of_each_variable(nested):
    optimizer = keras.optimizers.Adam()
    optimizer.build(nested.trainable_variables)
    assert [variable_index(optimizer, v) for v in nested.trainable_variables] == [0, 1, 2, 3]


@tensorflow_only("it counts functions of TensorFlow")
def test_an_optimizer_of_one_device_leaves_no_graph_behind_and_learns_the_same():
    from tensorflow.python.framework.ops import gradient_registry

    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    weights, ends, registered = model.get_weights(), [], []
    for alone in (False, True):
        model.set_weights(weights)
        optimizer = keras.optimizers.SGD(0.1)
        if alone:
            skip_gradient_sum(optimizer)
        model.compile(optimizer, "mse")
        before = len(gradient_registry.list())
        model.fit(np.ones((2, 4), "float32"), np.zeros((2, 2), "float32"), verbose=0)
        registered.append(len(gradient_registry.list()) - before)
        ends.append(model.get_weights())
    assert registered[0] > registered[1] == 0
    assert all(np.array_equal(one, other) for one, other in zip(*ends, strict=True))


def test_a_download_is_reported_and_not_printed(tmp_path, capfd):
    source = tmp_path / "source.bin"
    source.write_bytes(b"x" * 20_000)
    reports = []
    with reported_downloads(lambda *report: reports.append(report)):
        path = keras.utils.get_file("copy.bin", source.as_uri(), cache_dir=str(tmp_path))
    assert reports[0] == (source.as_uri(), 0, 0)
    assert reports[-1][1] >= reports[-1][2] == 20_000
    assert Path(path).read_bytes() == source.read_bytes()
    assert keras.config.is_interactive_logging_enabled()
    assert capfd.readouterr() == ("", "")
