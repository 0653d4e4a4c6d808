"""What a classifier computes, what is frozen in it, and how its weights are named."""

from __future__ import annotations

import numpy as np
import pytest

from transfercli.config.schema import HeadConfig
from transfercli.errors import ConfigError
from transfercli.models.bases import BASES, stages_of

LABELS = ("a", "b", "c")
PIXELS = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3)).astype("uint8")


def build(base: str = "small_cnn", labels: tuple[str, ...] = LABELS, channels: int = 3, **head):
    from transfercli.models.architecture import Architecture
    from transfercli.models.classifier import build_classifier

    return build_classifier(Architecture(base, (32, 32), channels, HeadConfig(**head), labels))


@pytest.mark.parametrize("pooling", ["avg", "max", "flatten"])
@pytest.mark.parametrize("output", ["softmax", "sigmoid"])
def test_probabilities_are_those_of_the_logits(pooling: str, output: str) -> None:
    from transfercli.models.forward import probabilities

    model = build(labels=("no", "yes"), pooling=pooling, output=output, hidden=[8], dropout=0.5)
    given = model.predictor.predict(PIXELS, verbose=0)
    assert given.shape == (4, 2)
    np.testing.assert_allclose(given, probabilities(model.model.predict(PIXELS, verbose=0)), atol=1e-6)
    np.testing.assert_allclose(given.sum(axis=1), 1, atol=1e-6)


def test_a_sigmoid_head_is_refused_for_three_classes() -> None:
    with pytest.raises(ConfigError, match="two classes, and the data has 3"):
        build(output="sigmoid")


def test_images_too_small_for_a_base_are_refused() -> None:
    with pytest.raises(ConfigError, match="at least 75"):
        build("inceptionv3")


def test_a_grey_model_takes_rgb_and_has_a_one_channel_base() -> None:
    model = build(channels=1)
    assert model.base.input.shape[-1] == 1
    assert model.model.predict(PIXELS, verbose=0).shape == (4, 3)


def test_resnet18_is_the_published_network() -> None:
    """11,176,512 trainable weights without the top (He et al. 2016, as torchvision counts them)."""
    base = build("resnet18").base
    assert sum(int(np.prod(v.shape)) for v in base.trainable_variables) == 11_176_512
    assert base.output.shape[1:] == (1, 1, 512)


@pytest.mark.parametrize("base", ["vgg16", "resnet50", "resnet18", "small_cnn"])
def test_stages_partition_a_base_from_the_input_to_the_top(base: str) -> None:
    model = BASES[base].build((32, 32, 3))
    layers = [layer.name for layer in model.layers]
    stages = stages_of(BASES[base], layers)
    assert [name for names in stages.values() for name in names] == layers
    assert (
        list(stages)
        == {
            "vgg16": [f"block{i}" for i in range(1, 6)],
            "resnet50": [f"conv{i}" for i in range(1, 6)],
            "resnet18": [f"conv{i}" for i in range(1, 6)],
            "small_cnn": ["conv1", "conv2", "conv3"],
        }[base]
    )


def test_a_stage_that_is_closed_by_its_last_layer_contains_what_leads_to_it() -> None:
    stages = stages_of(BASES["inceptionv3"], ["stem", "a", "mixed0", "b", "c", "mixed1", "top"])
    assert stages == {"mixed0": ["stem", "a", "mixed0"], "mixed1": ["b", "c", "mixed1", "top"]}


@pytest.mark.parametrize(
    "unfreeze, trained",
    [
        ("none", []),
        (0, []),
        ("conv3", ["conv3"]),
        ("pool2", ["conv3"]),
        (2, ["conv3"]),
        (3, ["conv2", "conv3"]),
        ("all", ["conv1", "conv2", "conv3"]),
    ],
)
def test_freezing_by_stage_layer_and_count(unfreeze, trained) -> None:
    from transfercli.models.freezing import freeze_below

    model = build()
    freeze_below(model, unfreeze)
    layers = list(dict.fromkeys(v.path.split("/")[0] for v in model.base.trainable_variables))
    assert layers == trained
    assert len(model.model.trainable_variables) == 2 * len(trained) + 2


def test_an_unknown_stage_names_the_nearest() -> None:
    from transfercli.models.freezing import freeze_below

    with pytest.raises(ConfigError, match="did you mean 'conv3'"):
        freeze_below(build(), "conv33")


def test_names_of_weights_do_not_depend_on_what_was_built_before() -> None:
    import keras

    from transfercli.models.tensor_names import stable_layer_names

    def names() -> list[str]:
        image = keras.Input((8, 8, 3))
        x = keras.layers.Conv2D(2, 3)(keras.layers.Conv2D(2, 3)(image))
        return list(stable_layer_names(keras.Model(image, x)).values())

    assert names() == names() == ["input_layer", "conv2d", "conv2d_1"]


def test_an_image_gives_the_same_bits_whatever_batch_it_came_in() -> None:
    from transfercli.models.forward import forward
    from transfercli.reporting import Reporter
    from transfercli.rows import ArrayRows

    model = build().model
    all_of_them = forward(model, ArrayRows(np.repeat(PIXELS, 5, axis=0)), 8, Reporter())
    alone = forward(model, ArrayRows(PIXELS[:1]), 8, Reporter())
    assert (all_of_them[0] == alone[0]).all()
