"""The base of a starter config: named by the user, or with weights on this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.models.weights.foreign_files import torch_tensors, write_torch_file
from transfercli.config.starter import UNKNOWN, ChosenBase, Survey
from transfercli.errors import UsageError
from transfercli.models.bases import BASES
from transfercli.reporting import Reporter
from transfercli.workflows.config.base_choice import base_at_hand, named_base
from transfercli.workflows.config.init import init_config

PHOTOGRAPHS = Survey("d", {"a": 60, "b": 60}, (300, 300))


@pytest.fixture(autouse=True)
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Point both caches at an empty folder, and return the folder of Keras's files."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    (tmp_path / "keras" / "models").mkdir(parents=True)
    return tmp_path / "keras" / "models"


def put(caches: Path, *names: str) -> None:
    for name in names:
        published = BASES[name].published
        assert published
        (caches / published.file_for((BASES[name].size, BASES[name].size))).write_bytes(b"x")


@pytest.mark.parametrize(
    "here, chosen",
    [
        (("resnet50", "vgg16", "efficientnetb0"), "resnet50"),
        (("vgg16", "efficientnetb0", "mobilenetv2"), "efficientnetb0"),
        (("vgg16", "mobilenetv3small"), "mobilenetv3small"),
        (("vgg19", "vgg16"), "vgg16"),
    ],
)
def test_a_base_whose_weights_are_here_comes_before_a_download(here, chosen: str, caches: Path) -> None:
    put(caches, *here)
    choice = base_at_hand(PHOTOGRAPHS)
    assert choice.name == chosen
    assert choice.reason.startswith("its published weights are on this machine")
    assert base_at_hand(UNKNOWN) == choice


def test_the_config_says_which_weights_are_here(caches: Path) -> None:
    put(caches, "mobilenetv2", "vgg16")
    text = init_config(None, None, None, Reporter()).text
    comment = "its published weights are on this machine, those of resnet50 are not; others here: vgg16"
    assert f"  base: mobilenetv2  # {comment}\n" in text


def test_without_any_weights_here_the_download_is_announced() -> None:
    text = init_config(None, None, None, Reporter()).text
    assert "base: resnet50  # no published weights are on this machine: training downloads these, 94.4 MB;" in text
    assert "small_cnn needs none" in text


def test_small_images_get_the_small_network_whatever_is_here(caches: Path) -> None:
    put(caches, "vgg16")
    assert base_at_hand(Survey("d", {"a": 60, "b": 60}, (28, 28))).name == "small_cnn"


def test_a_base_that_the_user_names_is_taken_whatever_is_here(caches: Path) -> None:
    put(caches, "vgg16")
    assert "  base: densenet121\n" in init_config("DenseNet-121", None, None, Reporter()).text


@pytest.mark.parametrize(
    "text, expected",
    [
        ("resnet50", ChosenBase("resnet50")),
        ("timm/resnet50", ChosenBase("resnet50_torch")),
        ("torchvision/resnet50", ChosenBase("resnet50_torch")),
        ("ViT-S/16", ChosenBase("vit_small_patch16")),
        ("timm/resnet50.tv2_in1k", ChosenBase("resnet50_torch", weights={"hub": "timm/resnet50.tv2_in1k"})),
        ("microsoft/resnet-50", ChosenBase("resnet50_torch", weights={"hub": "microsoft/resnet-50"})),
        ("https://huggingface.co/microsoft/resnet-34", ChosenBase("resnet34", weights={"hub": "microsoft/resnet-34"})),
    ],
)
def test_a_repository_s_name_asks_for_its_weights(text: str, expected: ChosenBase) -> None:
    assert named_base(text, Path()) == expected


def test_a_name_of_several_bases_is_answered_by_them() -> None:
    with pytest.raises(UsageError, match="is not the name of a base") as caught:
        named_base("NAS-net", Path())
    assert "it may be nasnetmobile, nasnetlarge: name one of them" in (caught.value.hint or "")


def test_a_weight_file_names_its_base_and_stays_the_source_of_the_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_torch_file(tmp_path / "weights" / "r18.safetensors", torch_tensors())
    (tmp_path / "configs").mkdir()
    text = init_config("weights/r18.safetensors", None, tmp_path / "configs" / "c.yaml", Reporter()).text
    assert "base: resnet18\n  weights: {path: ../weights/r18.safetensors}  # the file whose names show the base" in text
    assert named_base(str(tmp_path / "weights" / "r18.safetensors"), Path()).weights == {
        "path": str(tmp_path / "weights" / "r18.safetensors")
    }


def test_a_weight_file_that_does_not_say_its_base_is_refused(tmp_path: Path) -> None:
    write_torch_file(tmp_path / "w.safetensors", torch_tensors("timm_vit_tiny"))
    with pytest.raises(UsageError, match="several bases have tensors of these names") as caught:
        named_base(str(tmp_path / "w.safetensors"), Path())
    assert "--base BASE, and then model.weights: {path: " in str(caught.value.hint)


def test_the_hint_for_a_file_of_keras_names_the_base_of_its_name_and_where_the_file_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "vgg16.weights.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    with pytest.raises(UsageError) as caught:
        named_base("vgg16.weights.h5", Path())
    assert str(caught.value.hint).endswith(
        "--base vgg16, and then model.weights: {path: vgg16.weights.h5} in the config"
    )
