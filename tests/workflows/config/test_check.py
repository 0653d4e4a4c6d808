"""Configs checked, resolved and described."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.listener import Listener
from tests.models.weights.foreign_files import torch_tensors, write_torch_file
from transfercli.config.editor import SCHEMA_FILE
from transfercli.errors import ConfigError, UsageError
from transfercli.workflows.config.check import config_schema, show_config, validate_configs, write_schema

GOOD = "name: flowers\ndata: {train: images}\nmodel: {base: small_cnn}\n"


def test_every_error_of_every_file_is_raised_and_files_without_one_are_reported(write: Callable[..., Path]) -> None:
    good, bad, worse = write(GOOD, "a.yaml"), write(GOOD + "seed: -1\n", "b.yaml"), write("name: x\n", "c.yaml")
    listener = Listener()
    with pytest.raises(ConfigError) as caught:
        validate_configs([good, bad, worse], (), Path(), listener)
    assert listener.infos == [f"{good}: ok"]
    for location in (f"{bad}:4: seed", f"{worse}:1: data.train", f"{worse}:1: model.base"):
        assert location in caught.value.message
    assert validate_configs([good], (), Path(), listener).as_json() == {
        "configs": [{"path": str(good), "ok": True, "missing": ["data.train"]}]
    }


def test_folders_of_auxiliary_images_that_are_missing_are_named(write: Callable[..., Path]) -> None:
    keys = "data: {train: ., unlabelled: new, related: [., gone]}\nmodel: {base: vgg16}\ntransfer: {strategy: auto}\n"
    path, listener = write(f"name: x\n{keys}"), Listener()
    found = validate_configs([path], (), Path(), listener).as_json()
    assert found["configs"][0]["missing"] == ["data.unlabelled", "data.related[1]"]
    assert listener.warnings[1].startswith(f"{path}:2: data.related[1]: gone is not there (yet)")


@pytest.mark.parametrize(
    "given, words",
    [
        ("log.csv", "log.csv is not there (yet); no label would be corrected"),
        ("no/log.csv", "the folder of no/log.csv"),
    ],
)
def test_a_missing_file_of_label_decisions_is_named(write: Callable[..., Path], given: str, words: str) -> None:
    keys = f"data: {{train: ., corrections: {given}}}\nmodel: {{base: vgg16}}\ntransfer: {{strategy: auto}}\n"
    path, listener = write(f"name: x\n{keys}"), Listener()
    assert validate_configs([path], (), Path(), listener).as_json()["configs"][0]["missing"] == ["data.corrections"]
    assert words in listener.warnings[0]


def test_a_warm_up_that_a_training_refuses_is_a_warning(write: Callable[..., Path]) -> None:
    path, listener = write(GOOD + "training: {epochs: 3, schedule: {name: cosine, warmup_epochs: 50}}\n"), Listener()
    validate_configs([path], (), Path(), listener)
    (warning,) = (text for text in listener.warnings if "warmup" in text)
    assert "training.schedule.warmup_epochs: is longer than the training, received 50" in warning


@pytest.mark.parametrize(
    "base, file, message",
    [
        ("resnet50", "r18.safetensors", "model.base: resnet50, but these are PyTorch names of a ResNet-18"),
        ("auto", "r18.pth", "r18.pth is a pickle, which runs code"),
        ("resnet18", "r18.safetensors", ""),
        ("auto", "r18.safetensors", ""),
        ("auto", "gone.safetensors", ""),
    ],
)
def test_a_weight_file_that_a_training_refuses_is_a_warning(
    base: str, file: str, message: str, write: Callable[..., Path], tmp_path: Path
) -> None:
    write_torch_file(tmp_path / "r18.safetensors", torch_tensors())
    (tmp_path / "r18.pth").write_bytes(b"\x80\x02}.")
    weights = f"{{path: {tmp_path / file}, sha256: {'a' * 64}}}"  # the hash is left to the training
    path, listener = write(f"name: t\ndata: {{train: d}}\nmodel: {{base: {base}, weights: {weights}}}\n"), Listener()
    validate_configs([path], (), Path(), listener)
    refused = [text for text in listener.warnings if "pretrain and finetune refuse that" in text]
    assert len(refused) == bool(message)
    assert all(text.startswith(f"{path}:3: ") and message in text for text in refused)


def test_a_resolved_config_has_what_follows_from_the_command(write: Callable[..., Path]) -> None:
    path, listener = write(GOOD), Listener()
    assert show_config(path, (), "pretrain", listener).as_json()["transfer"]["strategy"] == "scratch"
    finetuned = show_config(path, ("model.weights=none", "training.epochs=3"), "finetune", listener)
    assert (finetuned.config.training.epochs, finetuned.config.transfer.strategy) == (3, "feature_extraction")
    assert "strategy: feature_extraction" in finetuned.as_yaml()


def test_a_schema_is_written_over_an_earlier_one_and_over_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / SCHEMA_FILE
    for _ in range(2):
        assert write_schema(path).as_json() == {"path": str(path)}
    assert json.loads(path.read_text()) == config_schema().as_json()
    path.write_text("mine")
    with pytest.raises(UsageError):
        write_schema(path)
    assert path.read_text() == "mine"
