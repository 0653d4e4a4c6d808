"""Files of other libraries are known by the names and shapes in their header."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from transfercli.errors import ArtefactError, ConfigError
from transfercli.models.weights.foreign.fit import check_base
from transfercli.models.weights.foreign.recognition import Recognised, recognise
from transfercli.models.weights.foreign.rules import Rule
from transfercli.models.weights.foreign.scheme import Shape

FIXTURES = {path.stem: path for path in (Path(__file__).parent / "fixtures").glob("*.json")}
Shapes = dict[str, Shape]


def shapes_of(name: str) -> Shapes:
    fixture = json.loads(FIXTURES[name].read_text())
    return {key: tuple(shape) for key, shape in fixture["shapes"].items()}


def prefixed(shapes: Shapes, prefix: str) -> Shapes:
    return {f"{prefix}{name}": shape for name, shape in shapes.items()}


def known(shapes: Shapes) -> Recognised:
    found = recognise(shapes)
    assert found is not None
    return found


@pytest.mark.parametrize("name", sorted(FIXTURES))
def test_every_fixture_is_of_its_base(name: str) -> None:
    assert json.loads(FIXTURES[name].read_text())["base"] in known(shapes_of(name)).bases


@pytest.mark.parametrize(
    "prefix",
    [
        "module.",  # DataParallel
        "module.encoder_q.",  # MoCo
        "teacher.backbone.",  # DINO
        "state_dict.backbone.",  # Lightning
        "model._orig_mod.",  # torch.compile
        "backbone.bottom_up.",  # a detector
    ],
)
def test_names_may_have_any_prefix(prefix: str) -> None:
    for name in ("torchvision_resnet18", "torchvision_vgg11", "torchvision_densenet121"):
        shapes = shapes_of(name)
        found = known(prefixed(shapes, prefix))
        assert (found.prefix, found.bases) == (prefix, known(shapes).bases)


@pytest.mark.parametrize(
    "used, other",
    [
        ("module.encoder_q.", "module.encoder_k."),
        ("module.base_encoder.", "module.momentum_encoder."),
        ("teacher.backbone.", "student.module.backbone."),
        ("state_dict_ema.", "state_dict."),
        ("model_ema.", "model."),
    ],
)
def test_of_two_copies_the_one_that_its_authors_use_is_taken(used: str, other: str) -> None:
    shapes = shapes_of("torchvision_resnet18")
    assert known({**prefixed(shapes, other), **prefixed(shapes, used)}).prefix == used


def test_two_networks_in_one_file_are_refused() -> None:
    shapes = shapes_of("torchvision_resnet18")
    for first, second in [("", "module."), ("rgb.", "depth.")]:
        with pytest.raises(ArtefactError, match="2 copies of a network") as caught:
            recognise({**prefixed(shapes, first), **prefixed(shapes, second)})
        assert repr(second) in caught.value.message


def test_the_file_names_the_base_to_use() -> None:
    with pytest.raises(ConfigError, match=r"PyTorch names of a ResNet-50 v1\.5") as caught:
        check_base(known(shapes_of("torchvision_resnet50")), "resnet50")
    assert "use base resnet50_torch" in f"{caught.value.message} {caught.value.hint}"
    with pytest.raises(ConfigError, match="PyTorch names of a VGG-16") as caught:
        check_base(known(shapes_of("torchvision_vgg16")), "vgg16")
    assert "use base vgg16_torch" in f"{caught.value.message} {caught.value.hint}"


def _renamed(shapes: Shapes, old: str, new: str) -> Shapes:
    return {(new if name == old else name): shape for name, shape in shapes.items()}


@pytest.mark.parametrize(
    "variant",
    [
        # timm's resnet50d: three convolutions first, and a pooling before the convolution of a shortcut.
        _renamed(shapes_of("torchvision_resnet50"), "conv1.weight", "conv1.0.weight"),
        # ResNet-50 of twice the width, and of one block more in its third stage.
        shapes_of("torchvision_resnet50") | {"conv1.weight": (128, 3, 7, 7)},
        shapes_of("torchvision_resnet50") | {"layer3.6.conv1.weight": (256, 1024, 1, 1)},
        # AlexNet, whose first name is that of a VGG.
        {"features.0.weight": (64, 3, 11, 11), "features.3.weight": (192, 64, 5, 5)},
        # DenseNet with one layer more.
        shapes_of("torchvision_densenet121")
        | {"features.norm5.weight": (1056,), "features.denseblock4.denselayer17.norm1.weight": (1024,)},
    ],
    ids=["deep stem", "wide", "deeper", "AlexNet", "longer DenseNet"],
)
def test_a_network_of_the_family_that_no_base_is_has_no_base(variant: Shapes) -> None:
    found = known(variant)
    assert found.bases == ()
    with pytest.raises(ArtefactError, match=f"{found.scheme.title}, but of") as caught:
        check_base(found, "resnet18")
    assert caught.value.hint
    assert "known of these names are" in caught.value.hint


def test_every_vgg_is_known_from_the_others() -> None:
    from transfercli.models.base_rows.vgg import ROWS
    from transfercli.models.weights.foreign.schemes.vgg import SCHEMES

    for scheme, base in zip(SCHEMES, ROWS, strict=True):
        shapes = dict.fromkeys((rule.pattern.replace("\\", "") for rule in scheme.rules), (512,)) | dict(
            scheme.members[base].has
        )
        assert known(shapes).bases == (base,)


def test_a_file_of_thousands_of_prefixes_is_refused_at_once() -> None:
    """Every two of a few prefixes are compared, to know the preferred copy; these would take hours."""
    for anchor in ("layer1.0.conv1.weight", "patch_embed.proj.weight"):
        shapes = {f"p{number}.{anchor}": (1,) for number in range(19_000)}
        with pytest.raises(ArtefactError, match=r"19000 copies of a network.*'p0.'.*'p10.*") as caught:
            recognise(shapes)
        assert len(caught.value.message) < 200


def test_a_block_of_any_number_has_a_name() -> None:
    """Blocks have letters in some networks; a file may number them as it likes."""
    rule = Rule(r"blocks\.(\d+)\.w", "same", "block{0:a}_x")
    assert [rule.target(f"blocks.{number}.w") for number in (0, 25)] == ["blocka_x", "blockz_x"]
    assert rule.target("blocks.26.w") == "block(26)_x"
    assert rule.target(f"blocks.{10**400}.w") == f"block({10**400})_x"
