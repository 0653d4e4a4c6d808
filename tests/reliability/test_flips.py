"""A thousand random bytes of a run's checkpoints are changed, one by one: each is noticed before parsing."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from tests.reliability.story import play, run_of
from transfercli.errors import ArtefactError
from transfercli.training import checkpoints
from transfercli.training.checkpoints import Checkpoints

FLIPS = 1000


def test_a_thousand_flipped_bytes_are_all_noticed_before_parsing(tmp_path: Path, monkeypatch) -> None:
    play(tmp_path)
    kept, parsed = Checkpoints(run_of(tmp_path).checkpoints), []
    epochs = sorted(kept.folder.glob("epoch-*"))
    files = [path for path in sorted(kept.folder.rglob("*")) if path.is_file()]
    assert {path.name for path in files} == {
        *("model.safetensors", "state.safetensors", "state.json", "manifest.json", "frozen.safetensors")
    }
    monkeypatch.setattr(checkpoints, "read_safetensors", lambda path: parsed.append(path))
    draw = random.Random(0)
    for _ in range(FLIPS):
        path = draw.choices(files, [one.stat().st_size for one in files])[0]
        whole = path.read_bytes()
        at, change = draw.randrange(len(whole)), draw.randint(1, 255)
        path.write_bytes(whole[:at] + bytes([whole[at] ^ change]) + whole[at + 1 :])
        for epoch in epochs if path.parent == kept.folder else [path.parent]:
            with pytest.raises(ArtefactError):
                kept.load(epoch.name)
        path.write_bytes(whole)
    assert parsed == []


def test_where_any_part_of_the_last_epoch_is_gone_the_one_before_is_taken(tmp_path: Path) -> None:
    play(tmp_path / "whole")
    for name in ("model.safetensors", "state.safetensors", "state.json", "manifest.json"):
        folder = shutil.copytree(tmp_path / "whole", tmp_path / name, symlinks=True)
        (run_of(folder).checkpoints / "last" / name).unlink()
        again = play(folder)
        assert again.trained == [4]
