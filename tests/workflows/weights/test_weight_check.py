"""`weights check`: what a file is, the base that fits, and what becomes of each tensor."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants
from typer.testing import CliRunner

from tests.models.weights.foreign_files import COMMIT, card, settings, torch_tensors, write_cache, write_torch_file
from transfercli.cli.app import app

Call = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ResNet-18 of torchvision's names, alone and in a cache of the Hub, and files that are not whole."""
    folder = tmp_path_factory.mktemp("weights")
    tensors = torch_tensors(classes=2)
    prefixed = {f"module.encoder_q.{name}": value for name, value in tensors.items()}
    file = write_torch_file(folder / "r18.safetensors", prefixed)
    names = settings(architecture="resnet18", label_names=["cat", "dog"])
    write_cache(
        folder / "hub", "owner/r18", {"model.safetensors": file, "README.md": card("mit"), "config.json": names}
    )
    del tensors["layer4.1.bn2.weight"]
    write_torch_file(folder / "part.safetensors", tensors)
    write_torch_file(folder / "saved" / "model.safetensors", torch_tensors("transformers_resnet18"))
    (folder / "empty.safetensors").touch()
    (folder / "saved" / "config.json").write_bytes(names)
    return folder


@pytest.fixture
def call(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    monkeypatch.chdir(folder)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder / "hub"))

    def run(*words: str) -> tuple[int, dict[str, Any]]:
        done = CliRunner().invoke(app, ["weights", "check", *words, "--json"])
        return done.exit_code, json.loads(done.stdout)

    return run


def test_a_file_is_described_with_each_of_its_tensors(call: Call) -> None:
    code, result = call("r18.safetensors")
    assert (code, result["format"], result["file_format"]) == (0, 1, "safetensors")
    assert result["names"] == "PyTorch names of a ResNet-18"
    assert (result["bases"], result["base"], result["prefix"]) == (["resnet18"], "resnet18", "module.encoder_q.")
    assert result["head"] == {"classes": 2, "labels": []}
    assert (result["problems"], result["hub"], result["licence"]) == ([], None, None)
    rows = {row["name"]: row for row in result["tensors"]}
    assert rows["module.encoder_q.conv1.weight"] == {
        "name": "module.encoder_q.conv1.weight",
        "weight": "base/conv1_conv/kernel",
        "shape": [64, 3, 7, 7],
        "dtype": "F32",
        "action": "copied",
        "reason": "the names and shapes fit",
    }
    assert rows["module.encoder_q.fc.weight"]["reason"] == "of the classification head"
    assert rows["module.encoder_q.bn1.num_batches_tracked"]["action"] == "unused"
    assert len(rows) == sum(result["dtypes"].values())


def test_a_repository_has_its_commit_licence_and_classes(call: Call) -> None:
    code, result = call("hub:owner/r18")
    assert code == 0
    assert result["hub"] == {"repository": "owner/r18", "revision": COMMIT, "asked": "main"}
    assert (result["licence"], result["head"]) == ("mit", {"classes": 2, "labels": ["cat", "dog"]})
    assert call(f"hub:owner/r18@{COMMIT}/model.safetensors", "--base", "resnet18")[1]["base"] == "resnet18"


def test_a_head_beside_the_network_is_found(call: Call) -> None:
    code, result = call("saved/model.safetensors")
    assert (code, result["prefix"]) == (0, "resnet.")
    assert result["head"] == {"classes": 2, "labels": ["cat", "dog"]}


@pytest.mark.parametrize(
    "words, code, kind, message",
    [
        (("gone.safetensors",), 7, "weights", "there is no file 'gone.safetensors'"),
        (("hub:owner/none",), 7, "weights", "owner/none: model.safetensors of main is not in the cache"),
        (("part.safetensors",), 6, "artefact", "the file has 99 of the 100 weights of resnet18"),
        (("r18.safetensors", "--base", "vgg16"), 3, "config", "base vgg16, but these are PyTorch names of a ResNet-18"),
        (("hub:../x",), 2, "usage", "'../x' is not the name of a repository"),
        (("hub:a/b/pytorch_model.bin",), 2, "usage", "'pytorch_model.bin' is a pickle by its name"),
        (("hub:",), 2, "usage", "is no repository"),
        (("empty.safetensors",), 6, "artefact", "empty.safetensors is empty"),
    ],
)
def test_each_failure_has_its_exit_code_and_one_message(
    call: Call, words: tuple[str, ...], code: int, kind: str, message: str
) -> None:
    exit_code, result = call(*words)
    assert (exit_code, result["error"]["kind"]) == (code, kind)
    assert message in result["error"]["message"]
    assert "model.weights" not in result["error"]["message"]
    assert result["error"]["hint"]


@pytest.mark.parametrize(
    "words, code, hint",
    [
        (("timm/resnet18.a1_in1k",), 7, "is written hub:timm/resnet18.a1_in1k"),
        (("https://huggingface.co/timm/resnet18.a1_in1k",), 2, "is written hub:timm/resnet18.a1_in1k;"),
        (("https://huggingface.co/a/b/blob/main/c.safetensors",), 2, "is written hub:a/b@main/c.safetensors;"),
        (("hf-hub:timm/resnet18.a1_in1k",), 2, "is written hub:timm/resnet18.a1_in1k;"),
        (("https://download.pytorch.org/models/r.pth",), 2, "fetch any other file, and give its path"),
        (("saved",), 6, "name the file inside: saved/model.safetensors"),
        (("empty.safetensors",), 6, "fetch or write the file again"),
        (("gone.safetensors",), 7, "put the file there or correct the path"),
        (("r18.safetensors", "--base", "vgg16"), 3, "without --base, the base that the file's names show is taken"),
    ],
)
def test_each_hint_says_what_to_type(call: Call, words: tuple[str, ...], code: int, hint: str) -> None:
    exit_code, result = call(*words)
    assert exit_code == code
    assert hint in result["error"]["hint"]
    assert "config" not in result["error"]["hint"]


def test_a_person_gets_the_network_and_a_line_for_each_tensor(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    shown = CliRunner().invoke(app, ["weights", "check", "r18.safetensors"]).stdout
    assert "PyTorch names of a ResNet-18" in shown
    assert "100 copied, 22 unused" in shown
    assert any("conv1.weight" in line and "base/conv1_conv/kernel" in line for line in shown.splitlines())
    assert "next: transfercli config init --base r18.safetensors" in shown


def test_files_of_keras_are_checked_against_the_base_that_is_named(call: Call, folder: Path) -> None:
    from transfercli.models.classifier import build_base
    from transfercli.models.weights.pretrained import base_tensors

    base = build_base("small_cnn", (32, 32), 3)
    base.save_weights(folder / "own.weights.h5")
    write_torch_file(folder / "own.safetensors", base_tensors(base))
    for file, form in (("own.weights.h5", "hdf5"), ("own.safetensors", "safetensors")):
        code, result = call(file)
        assert (code, result["file_format"], result["base"]) == (0, form, None)
        assert result["problems"] == [
            "these names do not say the base: name one with --base BASE to see which tensors fit"
        ]
        code, result = call(file, "--base", "small_cnn")
        assert (code, result["bases"], result["problems"]) == (0, ["small_cnn"], [])
        assert {row["action"] for row in result["tensors"]} == {"copied"}
