"""Names of EfficientNets and MobileNets: which bases a file fits, and what its mapping needs besides the file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from transfercli.errors import ArtefactError, ConfigError
from transfercli.models.weights.foreign.fit import check_base, chosen_base
from transfercli.models.weights.foreign.layouts import Target
from transfercli.models.weights.foreign.mapping import map_tensors
from transfercli.models.weights.foreign.recognition import recognise
from transfercli.models.weights.foreign.rules import targets

FIXTURES = Path(__file__).parent / "fixtures"
LITE0 = ("efficientnet_lite0_timm", "efficientnet_lite0", "efficientnet_lite0_torch")


def shapes_of(name: str) -> dict[str, tuple[int, ...]]:
    stored = json.loads((FIXTURES / f"{name}.json").read_text())["shapes"]
    return {key: tuple(shape) for key, shape in stored.items()}


@pytest.mark.parametrize(
    "name, bases",
    [
        ("timm_tf_efficientnet_lite0", LITE0),
        ("sequence_efficientnet_lite0", ("efficientnet_lite0",)),
        ("timm_efficientnet_b0", ("efficientnetb0", "efficientnetb0_torch")),
        ("torchvision_efficientnet_b0", ("efficientnetb0_torch",)),
        ("hf_efficientnet_b0", ("efficientnetb0",)),
        ("timm_mobilenetv2_100", ("mobilenetv2_torch",)),
        ("torchvision_mobilenet_v2", ("mobilenetv2_torch",)),
        ("hf_mobilenet_v2", ("mobilenetv2",)),
        ("timm_mobilenetv3_large_100", ("mobilenetv3large", "mobilenetv3large_timm")),
        ("torchvision_mobilenet_v3_small", ("mobilenetv3small_torch",)),
        ("timm_mobilenetv4_conv_medium", ("mobilenetv4_conv_medium",)),
    ],
)
@pytest.mark.parametrize("prefix", ["", "module.backbone."])
def test_names_and_shapes_show_the_bases(name: str, bases: tuple[str, ...], prefix: str) -> None:
    recognised = recognise({prefix + key: shape for key, shape in shapes_of(name).items()})
    assert recognised is not None
    assert recognised.bases == bases
    assert recognised.prefix.startswith(prefix)


@pytest.mark.parametrize("name", ["timm_efficientnet_b0", "timm_tf_efficientnet_lite0", "timm_mobilenetv2_100"])
def test_networks_of_another_width_or_depth_are_no_base(name: str) -> None:
    shapes = shapes_of(name)
    deeper = {**shapes, "blocks.5.4.conv_pwl.weight": (192, 1152, 1, 1), "blocks.5.3.conv_pwl.weight": (160, 960, 1, 1)}
    wider = {**shapes, "conv_stem.weight": (40, 3, 3, 3)}
    for changed in (deeper, wider):
        recognised = recognise(changed)
        assert recognised is not None
        assert recognised.bases == ()


def test_the_message_names_both_networks_whose_tensors_are_alike() -> None:
    recognised = recognise(shapes_of("timm_efficientnet_b0"))
    assert recognised is not None
    with pytest.raises(ConfigError) as raised:
        check_base(recognised, "efficientnetb1")
    assert "use base efficientnetb0 or efficientnetb0_torch" in str(raised.value)
    assert "timm's tf_efficientnet_b0" in str(raised.value)
    assert "timm's efficientnet_b0" in str(raised.value)


@pytest.mark.parametrize(
    "fixture, hint, base",
    [
        ("timm_efficientnet_b0", "tf_efficientnet_b0.in1k", "efficientnetb0"),
        ("timm_efficientnet_b0", "efficientnet_b0.ra_in1k", "efficientnetb0_torch"),
        ("timm_tf_efficientnet_lite0", "tf_efficientnet_lite0.in1k", "efficientnet_lite0_timm"),
        ("timm_mobilenetv3_large_100", "tf_mobilenetv3_large_100.in1k", "mobilenetv3large"),
        ("timm_mobilenetv3_large_100", "mobilenetv3_large_100.ra_in1k", "mobilenetv3large_timm"),
    ],
)
def test_the_name_of_a_repository_chooses_between_networks_whose_tensors_are_alike(
    fixture: str, hint: str, base: str
) -> None:
    from transfercli.workflows.initial_weights import names_of

    recognised = recognise(shapes_of(fixture))
    assert recognised is not None
    names = {each: names_of(each) for each in recognised.bases}
    assert chosen_base(recognised, [hint], names) == base
    with pytest.raises(ConfigError, match="several bases have tensors of these"):
        chosen_base(recognised, ["model"], names)


def mapped(name: str, base: str, *without: str):
    """Map zeros in the shapes of a fixture to the weights that its rules name, and return the result."""
    shapes = shapes_of(name)
    recognised = recognise(shapes)
    assert recognised is not None
    tensors = {key: np.zeros(shape, "float32") for key, shape in shapes.items() if key not in without}
    wanted = {
        f"base/{target}": Target(_laid_out(rule.layout, shapes[key]))
        for key in shapes
        for rule, target in targets(recognised.scheme.rules, key.removeprefix(recognised.prefix))
    }
    constants = recognised.scheme.members[base].constants
    wanted |= {f"base/{target}": Target((len(value),)) for target, value in constants.items()}
    return map_tensors(tensors, recognised, base, wanted)


def _laid_out(layout: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    orders = {"convolution": (2, 3, 1, 0), "depthwise": (2, 3, 0, 1)}
    return tuple(shape[axis] for axis in orders[layout]) if layout in orders else shape


def test_keras_s_efficientnets_get_the_mean_and_the_variance_of_the_pixels() -> None:
    tensors = mapped("hf_efficientnet_b0", "efficientnetb0").tensors
    np.testing.assert_allclose(tensors["base/normalization/mean"], (0.485, 0.456, 0.406), rtol=1e-6)
    np.testing.assert_allclose(np.sqrt(tensors["base/normalization/variance"]), (0.229, 0.224, 0.225), rtol=1e-6)


@pytest.mark.parametrize("name, base", [("torchvision_mobilenet_v2", "mobilenetv2_torch")])
def test_half_a_file_is_refused(name: str, base: str) -> None:
    with pytest.raises(ArtefactError, match="missing are"):
        mapped(name, base, "features.17.conv.3.running_var")


def test_what_is_not_used_has_a_reason_and_the_head_is_found() -> None:
    result = mapped("timm_mobilenetv2_100", "mobilenetv2_torch")
    assert result.head is not None
    assert result.head[0].shape == (1280, 1000)
    assert set(result.unused.values()) == {"counts batches of the training", "of the classification head"}
    hidden = mapped("torchvision_mobilenet_v3_small", "mobilenetv3small_torch")
    assert hidden.head is None
    assert hidden.unused["classifier.0.weight"] == "of the classification head, which has a hidden layer"
