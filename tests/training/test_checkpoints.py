"""A checkpoint is whole or not there, and damage is found before a tensor is parsed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from transfercli.errors import ArtefactError
from transfercli.events import Events
from transfercli.training.checkpoints import Checkpoint, Checkpoints

FROZEN = frozenset({"base/a"})


def checkpoint(epoch: int) -> Checkpoint:
    model = {"base/a": np.ones(3, "float32"), "head/b": np.full(2, epoch, "float32")}
    return Checkpoint(model, {"0/iteration": np.array(epoch)}, {"epoch": epoch})


@pytest.fixture
def saved(tmp_path: Path) -> Checkpoints:
    kept = Checkpoints(tmp_path, FROZEN)
    for epoch in (1, 2, 3, 4):
        kept.save(epoch, checkpoint(epoch), is_best=epoch == 2)
    return kept


def test_best_last_and_the_one_before_are_kept(saved: Checkpoints) -> None:
    assert saved.load("best").progress == {"epoch": 2}
    assert saved.load("last").model["head/b"].tolist() == [4, 4]
    assert sorted(p.name for p in saved.folder.glob("epoch-*")) == ["epoch-00002", "epoch-00003", "epoch-00004"]


def test_frozen_tensors_stand_once_and_come_back(saved: Checkpoints) -> None:
    assert saved.load("last").model["base/a"].tolist() == [1, 1, 1]
    manifest = json.loads((saved.folder / "last" / "manifest.json").read_text())
    assert "../frozen.safetensors" in manifest["files"]
    assert b"base/a" not in (saved.folder / "last" / "model.safetensors").read_bytes()


def test_a_damaged_last_gives_way_to_the_newest_whole_one_and_says_so(saved: Checkpoints) -> None:
    (saved.folder / "epoch-00004" / "model.safetensors").write_bytes(b"damaged")
    said: list[str] = []

    class Heard(Events):
        def warn(self, text: str) -> None:
            said.append(text)

    assert saved.load("last", Heard()).progress == {"epoch": 3}
    assert "going on from epoch-00003" in said[0]


@pytest.mark.parametrize("name", ["model.safetensors", "state.safetensors", "state.json", "../frozen.safetensors"])
def test_every_flipped_byte_is_found(saved: Checkpoints, name: str) -> None:
    path = (saved.folder / "epoch-00002").resolve() / name
    whole = path.read_bytes()
    for position in range(0, len(whole), 7):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        with pytest.raises(ArtefactError, match="hash its manifest gives"):
            saved.load("best")
    path.write_bytes(whole)
    assert saved.load("best").progress == {"epoch": 2}


def test_equal_tensors_give_equal_bytes_without_metadata(tmp_path: Path) -> None:
    for name in ("one", "two"):
        Checkpoints(tmp_path / name).save(1, checkpoint(1), is_best=True)
    first, second = ((tmp_path / n / "best" / "model.safetensors").read_bytes() for n in ("one", "two"))
    assert first == second
    assert b"__metadata__" not in first


def test_no_checkpoint_is_an_artefact_error(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match=r"has no manifest\.json"):
        Checkpoints(tmp_path).load("best")
