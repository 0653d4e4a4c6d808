"""Names of tensors."""

from __future__ import annotations


def test_names_of_weights_do_not_depend_on_what_was_built_before() -> None:
    import keras

    from transfercli.models.tensor_names import stable_layer_names

    def names() -> list[str]:
        image = keras.Input((8, 8, 3))
        x = keras.layers.Conv2D(2, 3)(keras.layers.Conv2D(2, 3)(image))
        return list(stable_layer_names(keras.Model(image, x)).values())

    assert names() == names() == ["input_layer", "conv2d", "conv2d_1"]


def scaled():
    """A small network with two weights that Keras names itself, as in ConvNeXt."""
    import keras
    from keras.src.applications.convnext import LayerScale

    x = image = keras.Input((8, 8, 3))
    for number in range(2):
        x = LayerScale(1e-6, 3, name=f"scale{number}")(x)
    return keras.Model(image, x)


def test_weights_without_a_name_are_numbered_within_their_network() -> None:
    from transfercli.models.tensor_names import weight_names

    names = [list(weight_names("base", scaled()).values()) for _ in range(2)]
    assert names[0] == names[1] == ["base/scale0/variable", "base/scale1/variable_1"]


def test_weights_stored_under_the_numbers_of_a_process_are_found() -> None:
    from transfercli.models.tensor_names import with_stable_numbers

    names = {"base/scale0/variable", "base/scale1/variable_1", "base/conv1/kernel"}
    stored = {"base/conv1/kernel": 0, "base/scale0/variable_9": 1, "base/scale1/variable_10": 2}
    expected = {"base/conv1/kernel": 0, "base/scale0/variable": 1, "base/scale1/variable_1": 2}
    assert with_stable_numbers(stored, names) == expected
    part = {"base/scale1/variable_1": 2}
    assert with_stable_numbers(part, names) == part
