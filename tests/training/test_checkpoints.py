"""A checkpoint is whole or not there, and damage is found before a tensor is parsed."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from tests.heard import Heard
from transfercli.errors import ArtefactError
from transfercli.training.checkpoints import Checkpoint, Checkpoints

FROZEN = frozenset({"base/a"})
BEST = 2
FLIP = 0x2A  # a space of the manifest becomes a newline


def checkpoint(epoch: int) -> Checkpoint:
    model = {"base/a": np.ones(3, "float32"), "head/b": np.full(2, epoch, "float32")}
    return Checkpoint(model, {"0/iteration": np.array(epoch)}, {"epoch": epoch, "best_epoch": min(epoch, BEST)})


@pytest.fixture
def saved(tmp_path: Path) -> Checkpoints:
    kept = Checkpoints(tmp_path, FROZEN)
    for epoch in (1, 2, 3, 4):
        kept.save(epoch, checkpoint(epoch), is_best=epoch <= BEST)
    return kept


def test_best_last_and_the_one_before_are_kept(saved: Checkpoints) -> None:
    assert saved.load("best").progress["epoch"] == 2
    assert saved.load("last").model["head/b"].tolist() == [4, 4]
    assert sorted(p.name for p in saved.folder.glob("epoch-*")) == ["epoch-00002", "epoch-00003", "epoch-00004"]


def test_frozen_tensors_stand_once_and_come_back(saved: Checkpoints) -> None:
    assert saved.load("last").model["base/a"].tolist() == [1, 1, 1]
    manifest = json.loads((saved.folder / "last" / "manifest.json").read_text())
    assert "../frozen.safetensors" in manifest["files"]
    assert b"base/a" not in (saved.folder / "last" / "model.safetensors").read_bytes()


def test_a_damaged_last_gives_way_to_the_newest_whole_one_and_says_so(saved: Checkpoints) -> None:
    (saved.folder / "epoch-00004" / "model.safetensors").write_bytes(b"damaged")
    heard = Heard()
    last, best = saved.newest(heard)
    assert (last.progress["epoch"], best.progress["epoch"]) == (3, 2)
    assert "continuing from epoch-00003" in heard.warnings[0]
    assert (saved.folder / "last").readlink() == Path("epoch-00003")


def test_where_the_last_is_the_best_and_damaged_what_was_best_before_still_stands(tmp_path: Path) -> None:
    kept = Checkpoints(tmp_path)
    for epoch, best in ((1, 1), (2, 1), (3, 1), (4, 4)):
        one = checkpoint(epoch)
        kept.save(epoch, Checkpoint(one.model, one.state, {"epoch": epoch, "best_epoch": best}), is_best=best == epoch)
    (tmp_path / "best" / "state.json").write_bytes(b"{}")
    last, best = kept.newest(Heard())
    assert (last.progress["epoch"], best.progress["epoch"]) == (3, 1)
    assert (tmp_path / "best").readlink() == Path("epoch-00001")


def test_a_whole_epoch_counts_though_a_kill_came_before_the_links_were_switched(saved: Checkpoints) -> None:
    for link, place in (("last", "epoch-00003"), ("best", "epoch-00003")):
        (saved.folder / link).unlink()
        (saved.folder / link).symlink_to(place)
    heard = Heard()
    last, best = saved.newest(heard)
    assert (last.progress["epoch"], best.progress["epoch"], heard.warnings) == (4, 2, [])
    assert [(saved.folder / link).readlink().name for link in ("last", "best")] == ["epoch-00004", "epoch-00002"]


def test_where_no_epoch_is_whole_the_newest_one_says_what_is_wrong(saved: Checkpoints) -> None:
    (saved.folder / "frozen.safetensors").write_bytes(b"damaged")
    with pytest.raises(ArtefactError, match=r"epoch-00004: frozen\.safetensors does not have the hash"):
        saved.newest(Heard())


def test_no_manifest_vouches_for_frozen_tensors_that_a_disk_has_damaged(tmp_path: Path) -> None:
    (tmp_path / "frozen.safetensors").write_bytes(b"damaged before the first epoch ended")
    Checkpoints(tmp_path, FROZEN).save(1, checkpoint(1), is_best=True)
    assert Checkpoints(tmp_path, FROZEN).load("best").model["base/a"].tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    "name", ["model.safetensors", "state.safetensors", "state.json", "manifest.json", "../frozen.safetensors"]
)
def test_every_flipped_byte_is_found(saved: Checkpoints, name: str) -> None:
    path = (saved.folder / "epoch-00002").resolve() / name
    whole = path.read_bytes()
    for position in range(0, len(whole), 7):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ FLIP]) + whole[position + 1 :])
        with pytest.raises(ArtefactError, match=r"hash its manifest gives|as it was written|cannot be read"):
            saved.load("best")
    path.write_bytes(whole)
    assert saved.load("best").progress["epoch"] == 2


def test_equal_tensors_give_equal_bytes_without_metadata(tmp_path: Path) -> None:
    for name in ("one", "two"):
        Checkpoints(tmp_path / name).save(1, checkpoint(1), is_best=True)
    first, second = ((tmp_path / n / "best" / "model.safetensors").read_bytes() for n in ("one", "two"))
    assert first == second
    assert b"__metadata__" not in first


def test_no_checkpoint_is_an_artefact_error(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match=r"has no manifest\.json"):
        Checkpoints(tmp_path).load("best")


@pytest.mark.parametrize(
    "facts",
    [
        [],
        {"epoch": "3"},
        {"epoch": 3, "best_epoch": None},
        {"epoch": 3, "best_value": "high"},
        {"epoch": 3, "line": [3]},
        {"epoch": 3, "line": {"epoch": 2}},
    ],
)
def test_counters_that_are_none_are_an_error_though_the_manifest_vouches_for_them(saved: Checkpoints, facts) -> None:
    folder = saved.folder / "epoch-00004"
    (folder / "state.json").write_text(json.dumps(facts))
    files = json.loads((folder / "manifest.json").read_text())["files"]
    files["state.json"] = hashlib.sha256((folder / "state.json").read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps({"files": dict(sorted(files.items()))}, indent=2) + "\n")
    with pytest.raises(ArtefactError, match="counters are damaged"):
        saved.load("last")
