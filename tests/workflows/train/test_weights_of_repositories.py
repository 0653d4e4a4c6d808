"""Training from PyTorch's weights in a repository of the Hub: base, head, licence and commit."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from huggingface_hub import constants

from tests.models.weights.foreign_files import COMMIT, card, settings, torch_tensors, write_cache, write_torch_file
from transfercli.cli.app import main
from transfercli.config.loader import load
from transfercli.config.schema import FileWeights
from transfercli.errors import ArtefactError, ConfigError, DataError
from transfercli.reporting import Reporter
from transfercli.runs.folder import RunFolder
from transfercli.workflows.export.card import first_weights, licence_id
from transfercli.workflows.export.export import licence
from transfercli.workflows.initial_weights import FileHead, labels_of_kept_head
from transfercli.workflows.new_model import Parent, labels_for
from transfercli.workflows.recorded_weights import with_recorded_weights
from transfercli.workflows.runs.runs import lineage
from transfercli.workflows.stored_run import StoredRun

REPOSITORY = "owner/r18"
MOVED = "f" * 40
CLASSES = ("3", "8")
CONFIG = """
name: t
data: {train: images, image_size: 32, batch_size: 16, test: null, validation: 0.25}
model:
  base: auto
  weights: {hub: owner/r18}
  head: {init: keep}
transfer: {strategy: feature_extraction}
training: {epochs: 1}
"""
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, digits_folder: Path) -> Path:
    """A config, 24 digits of two classes, and a cache with a ResNet-18 for two classes, which have names."""
    folder = tmp_path_factory.mktemp("hub")
    for label in CLASSES:
        (folder / "images" / label).mkdir(parents=True)
        for file in sorted((digits_folder / "digits" / "train" / label).iterdir())[:12]:
            shutil.copy(file, folder / "images" / label)
    file = write_torch_file(folder / "r18.safetensors", torch_tensors(classes=2))
    names = settings(architecture="resnet18", label_names=list(reversed(CLASSES)))
    files = {"model.safetensors": file, "README.md": card("apache-2.0"), "config.json": names}
    write_cache(folder / "hub", REPOSITORY, files)
    (folder / "c.yaml").write_text(CONFIG)
    return folder


@pytest.fixture
def call(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """`call(word, …)`: exit code, stdout and stderr of the program in that folder."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder / "hub"))

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["transfercli", *words])
        with pytest.raises(SystemExit) as stop:
            main()
        captured = capsys.readouterr()
        return int(stop.value.code or 0), captured.out, captured.err

    return run


@pytest.fixture
def trained(folder: Path, call: Call) -> StoredRun:
    """The run of the config; it is trained by the first test that needs it."""
    path = folder / "runs" / "t" / "a"
    if not path.exists():
        code, _, err = call("finetune", "c.yaml", "--run-id", "a")
        assert code == 0, err
    return StoredRun(RunFolder(path))


def test_the_base_the_commit_and_the_licence_are_recorded(trained: StoredRun) -> None:
    assert trained.config.model.base == "resnet18"
    facts = trained.record.weights
    assert (facts["hub"], facts["revision"], facts["asked"]) == (REPOSITORY, COMMIT, "main")
    assert (facts["file"], facts["licence"], len(facts["sha256"])) == ("model.safetensors", "apache-2.0", 64)


def test_the_licence_of_the_repository_is_that_of_the_model_card(trained: StoredRun) -> None:
    assert licence(trained) == (
        f"started from {REPOSITORY}@{COMMIT[:12]}, whose model card says apache-2.0: that licence still applies"
    )
    assert licence_id(lineage(trained)) == "apache-2.0"
    assert first_weights(lineage(trained)) == f"the repository {REPOSITORY} of the Hugging Face Hub"


def test_the_head_of_the_file_is_kept_by_the_names_of_its_classes(trained: StoredRun) -> None:
    assert trained.labels == tuple(reversed(CLASSES))  # the order of the file's outputs
    report = {line["tensor"]: line for line in json.loads(trained.folder.transplant.read_text())}
    assert report["head/logits/kernel"]["reason"] == "from fc.weight"
    assert not report.keys() & {"fc.weight", "fc.bias"}  # they are used
    assert report["base/conv1_conv/kernel"] == {
        "tensor": "base/conv1_conv/kernel",
        "action": "copied",
        "reason": "from conv1.weight",
    }
    assert report["bn1.num_batches_tracked"]["reason"] == "counts batches of the training"
    assert {line["action"] for line in report.values()} == {"copied", "unused"}
    from transfercli.models.tensor_names import named_variables
    from transfercli.workflows.compare.networks import UntrainedRun

    kernel = named_variables(UntrainedRun(trained.folder).classifier)["head/logits/kernel"]
    np.testing.assert_array_equal(np.asarray(kernel), torch_tensors(classes=2)["fc.weight"].T)


def test_a_branch_that_moved_is_said_and_the_run_keeps_its_commit(
    trained: StoredRun, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.listener import Listener

    moved = folder / "moved"
    shutil.copytree(folder / "hub", moved, symlinks=True)
    write_cache(moved, REPOSITORY, {"model.safetensors": b"another"}, commit=MOVED)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(moved))
    listener = Listener()
    config = with_recorded_weights(trained.config, trained.record, listener)
    assert config.model.weights.revision == COMMIT
    [warning] = listener.warnings
    assert warning.startswith(
        f"model.weights.revision: {REPOSITORY}@main is {MOVED[:12]} now and was {COMMIT[:12]} when a started"
    )


@pytest.mark.parametrize("source", ["file", "repository"])
def test_a_run_does_not_go_on_with_another_weight_file(
    source: str, trained: StoredRun, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = trained.config
    changed = tmp_path / "changed.safetensors"
    another = safetensors.numpy.save({"x": np.zeros(1, "float32")})
    changed.write_bytes(another)
    if source == "file":
        weights = FileWeights(path=str(changed))
        config = config.model_copy(update={"model": config.model.model_copy(update={"weights": weights})})
    else:
        write_cache(tmp_path, REPOSITORY, {"model.safetensors": another}, commit=COMMIT)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ArtefactError, match=r"has sha256 .*; the run started with"):
        with_recorded_weights(config, trained.record, Reporter())


def test_the_same_command_again_prints_the_result_and_config_show_names_the_base(
    trained: StoredRun, call: Call
) -> None:
    code, out, err = call("finetune", "c.yaml", "--run-id", "a", "--json")
    assert (code, json.loads(out)["status"]) == (0, "completed"), err
    code, out, _ = call("config", "show", "c.yaml", "--json")
    assert (code, json.loads(out)["model"]["base"]) == (0, "resnet18")


@pytest.mark.parametrize(
    "override, code, words",
    [
        (
            "model.base=resnet50",
            3,
            "model.base: resnet50, but these are PyTorch names of a ResNet-18: use base resnet18",
        ),
        ("model.weights.hub=owner/none", 7, "owner/none: model.safetensors of main is not in the cache"),
        ("model.weights.revision=v9", 7, "model.safetensors of v9 is not in the cache"),
        ("model.head.pooling=max", 3, "model.head.pooling: max, but the head of model.safetensors is kept"),
        ("model.head.hidden=[8]", 3, "model.head.hidden: [8], but the head of model.safetensors is kept"),
        ("data.channels=1", 3, "data.channels: 1, but model.safetensors has the weights of a network for colour"),
        ("model.head.init=extend", 3, "needs the head of an earlier run, which records the names of its classes"),
    ],
)
def test_each_mistake_is_an_error_before_an_image_is_read(
    call: Call, folder: Path, override: str, code: int, words: str
) -> None:
    (folder / "images").rename(folder / "away")  # an image that is read would be an error of the data
    try:
        exit_code, _, err = call("finetune", "c.yaml", "--set", override)
    finally:
        (folder / "away").rename(folder / "images")
    assert exit_code == code, err
    assert words in err.replace("\n", " ")


def test_a_repository_that_is_not_here_is_a_warning_of_config_validate(call: Call) -> None:
    code, _, err = call("config", "validate", "c.yaml", "--set", "model.weights.hub=owner/none")
    assert code == 0
    assert "model.weights.hub: owner/none is not in the cache of the Hub (yet); a training would fetch it" in err


def _keeping(folder: Path) -> Any:
    return load(folder / "c.yaml").config


def test_a_kept_head_without_names_needs_as_many_classes(folder: Path) -> None:
    from tests.listener import Listener

    parent, listener = Parent(head=FileHead(2, ())), Listener()
    assert labels_for(_keeping(folder), parent, ("a", "b"), listener) == ("a", "b")
    assert "no names of its head's classes" in listener.warnings[0]
    with pytest.raises(ConfigError, match="has 2 classes without names, and the data has 3"):
        labels_of_kept_head(FileHead(2, ()), ("a", "b", "c"), Reporter())


def test_classes_that_a_kept_head_does_not_have_are_an_error_of_the_data(folder: Path) -> None:
    parent = Parent(labels=("cat", "dog"), head=FileHead(2, ("cat", "dog")))
    with pytest.raises(DataError, match="classes that the kept head does not have: 'cow'") as caught:
        labels_for(_keeping(folder), parent, ("cat", "cow"), Reporter())
    assert "extend" not in str(caught.value.hint)


@pytest.mark.slow
def test_retrain_goes_on_from_a_champion_whose_base_was_chosen_by_its_weights(call: Call, folder: Path) -> None:
    first = call("retrain", "c.yaml", "--set", "name=r", "--set", "data.test=0.2", "--json")
    assert first[0] == 0, first[2]
    shutil.copy(min((folder / "images" / "3").iterdir()), folder / "images" / "3" / "copy.png")
    again = call(
        "retrain", "c.yaml", "--set", "name=r", "--set", "data.test=0.2", "--set", "retrain.when=always", "--json"
    )
    assert "decision" in json.loads(again[1]), again[1]
    assert json.loads(again[1])["decision"] in ("promoted", "kept", "rejected"), again[2]
