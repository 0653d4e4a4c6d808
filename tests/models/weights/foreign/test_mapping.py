"""Tensors of a recognised file become weights of a base, all of them or none."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.models.weights.foreign.comparison import made_file
from transfercli.errors import ArtefactError
from transfercli.models.weights.foreign.layouts import LAYOUTS, Target
from transfercli.models.weights.foreign.mapping import Mapped, map_tensors
from transfercli.models.weights.foreign.recognition import Recognised, recognise
from transfercli.models.weights.foreign.rules import Rule
from transfercli.models.weights.foreign.scheme import Member, Scheme

Tensors = dict[str, np.ndarray]
FIXTURES = Path(__file__).parent / "fixtures"


@pytest.fixture(scope="module")
def resnet18() -> Tensors:
    return made_file(json.loads((FIXTURES / "torchvision_resnet18.json").read_text()))


@pytest.fixture(scope="module")
def targets() -> dict[str, Target]:
    """Weights of resnet18, by name."""
    from transfercli.models.classifier import build_base
    from transfercli.models.weights.pretrained import base_tensors

    return {name: Target(value.shape) for name, value in base_tensors(build_base("resnet18", (32, 32), 3)).items()}


def mapped(tensors: Tensors, targets: dict[str, Target]) -> Mapped:
    found = recognise({name: value.shape for name, value in tensors.items()})
    assert found is not None
    return map_tensors(tensors, found, "resnet18", targets)


def test_kernels_are_laid_out_by_their_names(resnet18: Tensors, targets: dict[str, Target]) -> None:
    """The second kernel has as many inputs as outputs: its shape alone does not show which dimension is which."""
    result = mapped(resnet18, targets)
    theirs, ours = resnet18["layer1.0.conv1.weight"], result.tensors["base/conv2_block1_1_conv/kernel"]
    assert theirs.shape == (64, 64, 3, 3)
    assert all((ours[:, :, i, o] == theirs[o, i]).all() for i, o in [(0, 0), (0, 63), (63, 0), (17, 42)])
    assert (result.tensors["base/conv1_bn/moving_variance"] == resnet18["bn1.running_var"]).all()
    assert result.tensors.keys() == targets.keys()
    assert result.sources["base/conv1_conv/kernel"] == ("conv1.weight",)


def test_the_head_is_found_and_the_rest_is_listed_with_its_reason(
    resnet18: Tensors, targets: dict[str, Target]
) -> None:
    tensors = {f"module.encoder_q.{name}": value for name, value in resnet18.items()}
    tensors |= {f"module.encoder_k.{name}": value for name, value in resnet18.items()}
    result = mapped({**tensors, "module.queue": np.zeros((128, 8), "float32")}, targets)
    assert result.head is not None
    assert (result.head[0] == resnet18["fc.weight"].T).all()
    assert (result.head[1] == resnet18["fc.bias"]).all()
    assert result.unused["module.encoder_q.fc.weight"] == "of the classification head"
    assert result.unused["module.encoder_q.bn1.num_batches_tracked"] == "counts batches of the training"
    for name in ("module.queue", "module.encoder_k.conv1.weight"):
        assert result.unused[name] == "not of the network, whose names start with 'module.encoder_q.'"
    assert len(result.unused) == 2 + 20 + len(resnet18) + 1


def test_a_head_beside_the_network_is_found(targets: dict[str, Target]) -> None:
    tensors = made_file(json.loads((FIXTURES / "transformers_resnet18.json").read_text()))
    result = mapped(tensors, targets)
    assert result.head is not None
    assert (result.head[0] == tensors["classifier.1.weight"].T).all()
    assert result.unused["classifier.1.weight"] == "of the classification head"


def without(tensors: Tensors, name: str) -> Tensors:
    return {key: value for key, value in tensors.items() if key != name}


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda t: without(t, "layer4.1.bn2.bias"), r"has 99 of the 100 weights of resnet18; missing are base/conv5"),
        (lambda t: {k: v for k, v in t.items() if not k.startswith("layer2.")}, r"has 75 of the 100 weights"),
        # In Keras's layout under PyTorch's names; a square kernel is refused, too.
        (
            lambda t: t | {"layer2.0.conv1.weight": np.zeros((3, 3, 64, 128), "float32")},
            r"layer2\.0\.conv1.*\[3, 3, 64",
        ),
        (lambda t: t | {"layer1.0.conv1.weight": np.zeros((3, 3, 64, 64), "float32")}, r"layer1\.0\.conv1.*\[3, 3, 64"),
        (lambda t: t | {"layer1.0.bn1.weight": np.zeros((64, 1), "float32")}, r"layer1\.0\.bn1\.weight.*\[64, 1\]"),
        # A block, a stage, an attention module and a bias more.
        (
            lambda t: t | {"layer2.2.conv1.weight": np.zeros((128, 128, 3, 3), "float32")},
            "has 1 weight more than resnet18: 'layer2.2.conv1",
        ),
        (lambda t: t | {"layer5.0.conv1.weight": np.zeros((8, 512, 1, 1), "float32")}, "1 weight more than resnet18"),
        (lambda t: t | {"layer1.0.se.fc1.weight": np.zeros((4, 64, 1, 1), "float32")}, "1 weight more than resnet18"),
        (lambda t: t | {"conv1.bias": np.zeros(64, "float32")}, "1 weight more than resnet18"),
    ],
    ids=["half", "no stage", "layout", "square", "dimensions", "block", "stage", "squeeze", "bias"],
)
def test_a_file_that_is_not_the_network_is_refused(
    resnet18: Tensors, targets: dict[str, Target], change, message: str
) -> None:
    with pytest.raises(ArtefactError, match=message):
        mapped(change(resnet18), targets)


def test_two_tensors_for_one_weight_are_refused() -> None:
    tensors = made_file(json.loads((FIXTURES / "torchvision_densenet121.json").read_text()))
    found = recognise({name: value.shape for name, value in tensors.items()})
    assert found is not None
    old = "features.denseblock1.denselayer1.norm.1.weight"
    target = {"base/conv2_block1_0_bn/gamma": Target((64,))}
    with pytest.raises(ArtefactError, match="two tensors for one weight, conv2_block1_0_bn/gamma"):
        map_tensors({**tensors, old: tensors["features.norm0.weight"]}, found, "densenet121", target)


def test_the_names_that_densenets_had_in_2017_give_the_same_weights() -> None:
    from transfercli.models.weights.foreign.rules import targets as found_targets
    from transfercli.models.weights.foreign.schemes.densenet import SCHEMES

    for part in ("norm{}.running_var", "conv{}.weight"):
        for number in "12":
            new, old = (f"features.denseblock2.denselayer11.{part.format(n)}" for n in (number, f".{number}"))
            ours = [target for _, target in found_targets(SCHEMES[0].rules, new)]
            assert ours
            assert ours == [target for _, target in found_targets(SCHEMES[0].rules, old)]


def test_a_variance_keeps_its_sum_with_epsilon() -> None:
    variance = np.array([0.0, 1e-7, 1.0], "float32")
    shifted = LAYOUTS["variance_for_keras"](variance, Target((3,)))
    np.testing.assert_allclose(shifted.astype("float64") + 1.001e-5, variance.astype("float64") + 1e-5, rtol=1e-6)


WRONG_SHAPES = [(), (0,), (3,), (0, 3), (5, 0), (4, 4), (3, 3), (1, 0, 3), (2, 2, 3), (3, 3, 3), (1, 1, 1, 0), (1,) * 5]


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_a_layout_refuses_every_shape_that_it_cannot_lay_out(layout: str) -> None:
    """A scalar, an empty tensor, too few or too many dimensions, and sizes that do not divide."""
    scheme = Scheme("s", "names", "a", (Rule("a", layout, "x/w"),), {"b": Member("B", {})})
    for shape in WRONG_SHAPES:
        target = {"base/x/w": Target((7, 5, 3, 2), (2, 2))}
        with pytest.raises(ArtefactError) as caught:
            map_tensors({"a": np.ones(shape, "float32")}, Recognised(scheme, "", ("b",)), "b", target)
        assert "'a' has the shape" in caught.value.message


@pytest.mark.parametrize("combine", ["times", "plus"])
@pytest.mark.parametrize("shape", [(), (0,), (1,), (1, 3), (3, 3), (7, 3), (1, 1, 3)])
def test_a_factor_never_changes_the_shape_of_a_weight(combine: str, shape: tuple[int, ...]) -> None:
    rules = (Rule("a", "same", "x/w"), Rule("b", "same", "x/w", combine))
    scheme = Scheme("s", "names", "a", rules, {"b": Member("B", {})})
    tensors = {"a": np.ones(3, "float32"), "b": np.ones(shape, "float32")}
    with pytest.raises(ArtefactError, match="'b' has the shape"):
        map_tensors(tensors, Recognised(scheme, "", ("b",)), "b", {"base/x/w": Target((3,))})


def test_a_fused_matrix_that_has_no_three_parts_is_not_taken_whole() -> None:
    rules = tuple(Rule("a", part, f"{part}/w") for part in ("query", "key", "value"))
    scheme = Scheme("s", "names", "a", rules, {"b": Member("B", {})})
    targets = {f"base/{part}/w": Target((4, 4)) for part in ("query", "key", "value")}
    with pytest.raises(ArtefactError, match="'a' has the shape"):
        map_tensors({"a": np.ones((4, 4), "float32")}, Recognised(scheme, "", ("b",)), "b", targets)


def test_two_factors_of_one_kind_are_refused() -> None:
    """LayerScales have two names; a file that has both would be scaled twice."""
    rules = (Rule("a", "same", "x/w"), Rule("b|c", "same", "x/w", "times"))
    scheme = Scheme("s", "names", "a", rules, {"b": Member("B", {})})
    tensors = dict.fromkeys("abc", np.ones(3, "float32"))
    with pytest.raises(ArtefactError, match="'b' and 'c' are two tensors for one weight"):
        map_tensors(tensors, Recognised(scheme, "", ("b",)), "b", {"base/x/w": Target((3,))})


@pytest.mark.parametrize("shape", [(), (7,), (1000, 1)])
def test_a_head_whose_bias_is_of_other_classes_is_refused(
    shape: tuple[int, ...], resnet18: Tensors, targets: dict[str, Target]
) -> None:
    with pytest.raises(ArtefactError, match=r"'fc\.bias' has the shape .*1000 classes"):
        mapped({**resnet18, "fc.bias": np.zeros(shape, "float32")}, targets)


def test_digits_of_other_scripts_are_no_numbers_in_names() -> None:
    rule = Rule(r"layer(\d)\.weight", "same", "conv{0}/kernel")
    assert rule.target("layer1.weight") == "conv1/kernel"
    assert rule.target("layer\u0661.weight") is None  # an Arabic one
