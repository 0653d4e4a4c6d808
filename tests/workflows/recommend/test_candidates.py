"""Names of the bases that `recommend` compares."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from transfercli.config.loader import load
from transfercli.errors import UsageError, WeightsError
from transfercli.workflows.recommend import candidates as module
from transfercli.workflows.recommend.candidates import Candidate, CandidateRequest, candidates_of

CONFIG = "name: flowers\ndata: {train: data}\nmodel: {base: vgg16, weights: {path: vgg.weights.h5}}\n"
Find = Callable[..., list[Candidate]]


@pytest.fixture
def find(write: Callable[..., Path], tmp_path: Path) -> Find:
    """`find(base, …)` -> the candidates of a config whose own base is VGG16 with the weights of a file."""
    config = write(CONFIG)

    def found(*bases: str, weights: tuple[str, ...] = (), sizes: tuple[int, ...] = ()) -> list[Candidate]:
        return candidates_of(CandidateRequest(bases, weights, sizes), load(config), tmp_path / "runs")

    return found


def test_a_base_has_the_weights_of_the_config_or_its_published_ones(find: Find) -> None:
    assert [each.settings for each in find("VGG-16", "resnet50", "vgg16")] == [
        ("model.base=vgg16",),
        ("model.base=resnet50", "model.weights=imagenet"),
    ]


def test_the_weights_option_comes_before_those_and_adds_its_base(find: Find, tmp_path: Path) -> None:
    file = str(tmp_path / "other.safetensors")
    vgg16, resnet18 = find("vgg16", weights=(f"vgg16={file}", "resnet18=hub:timm/resnet18.a1_in1k"))
    assert vgg16.settings == ("model.base=vgg16", f"model.weights={{path: {file}}}")
    assert resnet18.settings[1] == "model.weights={hub: timm/resnet18.a1_in1k}"


def test_every_base_is_compared_at_every_size(find: Find) -> None:
    found = find("vgg16", "resnet50", sizes=(96, 160))
    assert [each.settings[-1] for each in found] == ["data.image_size=96", "data.image_size=160"] * 2


def test_settings_give_a_config_the_candidate(find: Find, write: Callable[..., Path], tmp_path: Path) -> None:
    (candidate,) = find(f"{tmp_path}/runs/roses/1")
    assert candidate.problem is not None  # there is no such run
    config = load(write(CONFIG), candidate.settings).config
    assert config.model.base.run == config.model.weights.run == f"{tmp_path}/runs/roses/1"  # type: ignore[union-attr]


def test_without_names_the_bases_with_weights_here_and_that_of_the_config_are_compared(
    find: Find, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "is_here", lambda row: row.size == 331)
    assert [each.name for each in find()] == ["nasnetlarge", "vgg16"]


def test_no_weights_at_all_are_an_error_with_the_options(write: Callable[..., Path], tmp_path: Path) -> None:
    config = load(write(CONFIG.partition(", weights")[0] + "}\n"))
    with pytest.raises(WeightsError, match="no base has its weights on this machine"):
        candidates_of(CandidateRequest(), config, tmp_path)


@pytest.mark.parametrize(
    "bases, weights, text",
    [
        (("resnet51",), (), "'resnet51' is not the name of a base, nor of a run"),
        (("hub:x/y/z/",), (), "hub:x/y/z/"),
        ((), ("resnet18",), "must look like BASE=FILE"),
        ((), ("resnet51=a.h5",), "'resnet51' is not the name of a base"),
    ],
)
def test_a_name_of_nothing_is_a_usage_error(
    find: Find, bases: tuple[str, ...], weights: tuple[str, ...], text: str
) -> None:
    with pytest.raises(UsageError, match=text):
        find(*bases, weights=weights)


def test_a_weight_file_that_does_not_say_its_base_is_answered_by_the_option(find: Find, tmp_path: Path) -> None:
    (tmp_path / "any.weights.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    with pytest.raises(UsageError, match="names of this program or of Keras") as refused:
        find(str(tmp_path / "any.weights.h5"))
    assert "--weights BASE=FILE" in str(refused.value.hint)
