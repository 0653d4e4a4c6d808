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
