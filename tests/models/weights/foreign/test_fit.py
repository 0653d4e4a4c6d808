"""Choice of the base that a file's names and shapes show, and the words for what they do not show."""

from __future__ import annotations

from collections import defaultdict

import pytest

from transfercli.errors import ArtefactError, ConfigError
from transfercli.models.bases import BASES
from transfercli.models.weights.foreign.fit import check_base, chosen_base, looks_like_pytorch
from transfercli.models.weights.foreign.recognition import Recognised
from transfercli.models.weights.foreign.registry import SCHEMES
from transfercli.models.weights.foreign.scheme import Member, Scheme
from transfercli.workflows.initial_weights import names_of

SCHEME = Scheme(
    "net",
    "PyTorch names of a Net",
    "stem.weight",
    (),
    {
        name: Member(network, {})
        for name, network in {"effb0": "EfficientNet-B0", "tf_effb0": "EfficientNet-B0"}.items()
    },
)
NAMES = {"effb0": ("effb0", "efficientnet_b0"), "tf_effb0": ("tf_effb0", "tf_efficientnet_b0")}
BOTH = Recognised(SCHEME, "", ("effb0", "tf_effb0"))


@pytest.mark.parametrize(
    "hints, base",
    [
        (["efficientnet_b0"], "effb0"),
        (["tf_efficientnet_b0"], "tf_effb0"),
        (["something", "tf_efficientnet_b0.ns_jft_in1k"], "tf_effb0"),
        (["EfficientNet-B0"], "effb0"),
    ],
)
def test_the_name_of_the_network_chooses_between_bases_of_the_same_shapes(hints: list[str], base: str) -> None:
    assert chosen_base(BOTH, hints, NAMES) == base


@pytest.mark.parametrize("hints", [[], ["flowers"], ["b0"]])
def test_without_a_name_that_is_sure_the_candidates_are_listed(hints: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"several bases .*: effb0, tf_effb0"):
        chosen_base(BOTH, hints, NAMES)


def test_one_base_needs_no_name() -> None:
    assert chosen_base(Recognised(SCHEME, "", ("effb0",)), [], NAMES) == "effb0"


def test_the_wrong_base_is_named_with_the_right_ones() -> None:
    with pytest.raises(ConfigError, match="an EfficientNet-B0: use base effb0 or tf_effb0"):
        check_base(BOTH, "vgg16")
    check_base(BOTH, "effb0")


def test_a_network_that_no_base_is_lists_the_known_ones() -> None:
    with pytest.raises(ArtefactError, match="of a depth or width that no base has") as caught:
        check_base(Recognised(next(scheme for scheme in SCHEMES if "resnet18" in scheme.members), "", ()), "vgg16")
    assert "ResNet-18 (resnet18)" in str(caught.value.hint)


def test_names_with_slashes_are_not_those_of_pytorch() -> None:
    assert looks_like_pytorch({"a.weight": (1,), "a.bias": (1,)})
    assert not looks_like_pytorch({"base/a/kernel": (1,), "base/a/bias": (1,)})
    assert not looks_like_pytorch({"a.weight": (1,), "b": (1,)})


def test_a_name_that_several_bases_share_chooses_none_of_them() -> None:
    names = {"effb0": ("effb0", "efficientnet_b0", "efficientnet_b0.a"), "tf_effb0": ("tf_effb0", "efficientnet_b0")}
    with pytest.raises(ConfigError, match="several bases"):
        chosen_base(BOTH, ["efficientnet_b0.b"], names)
    assert chosen_base(BOTH, ["efficientnet_b0.a"], names) == "effb0"


def test_every_base_with_a_repository_is_chosen_by_its_name() -> None:
    for scheme in SCHEMES:
        alike: dict[object, list[str]] = defaultdict(list)
        for base, member in scheme.members.items():
            alike[tuple(sorted(member.has.items())), member.lacks].append(base)
        for bases in alike.values():
            found = Recognised(scheme, "", tuple(bases))
            for base in bases:
                if repository := BASES[base].repository:
                    name = repository.repository.rpartition("/")[2]
                    assert chosen_base(found, [name], {one: names_of(one) for one in bases}) == base
