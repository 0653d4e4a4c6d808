"""Hostile weight files through the whole program, under observation."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from tests.reliability.hostile_weights import WEIGHTS
from tests.reliability.observer import check_harmless, has_strace, observe

CONFIG = {
    "name": "x",
    "data": {"train": "data", "image_size": 32},
    "model": {"base": "small_cnn"},
    "transfer": {"strategy": "full"},
}
FAST = {
    *("lambda.keras", "keras named weights", "pickle named safetensors", "saved model", "zip that climbs"),
    *("external link", "external storage", "virtual data set", "terabytes claimed", "filter plugin"),
    *("group inside itself", "header of exabytes", "overlap", "name with an escape"),
}


@pytest.mark.parametrize("name", [pytest.param(n, marks=[] if n in FAST else pytest.mark.slow) for n in WEIGHTS])
def test_a_hostile_weight_file_is_refused_and_reaches_nothing(
    name: str, digits_folder: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    work, outside = tmp_path / "work", tmp_path / "outside"
    for folder in (work, outside):
        folder.mkdir()
    (outside / "secret.h5").write_bytes(b"secret")
    weights = {"path": WEIGHTS[name](work, outside)}
    config = CONFIG | {
        "model": {"base": "small_cnn", "weights": weights},
        "data": {"train": str(digits_folder / "digits")},
    }
    (work / "c.yaml").write_text(yaml.safe_dump(config))
    before = set(tmp_path.rglob("*"))
    scratch = tmp_path_factory.mktemp("observed")
    seen = observe(["finetune", "c.yaml"], work, scratch)
    assert seen.code == (7 if name == "pipe" else 6), seen.stderr
    assert "model.weights" in seen.stderr or "safetensors" in seen.stderr
    check_harmless(seen, work, scratch)
    assert set(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("strace", sorted({False, has_strace()}))
def test_the_observer_sees_what_it_looks_for(
    strace: bool, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "elsewhere.yaml").write_text("a: 1")
    scratch = tmp_path_factory.mktemp("observed")
    seen = observe(["config", "validate", "../elsewhere.yaml"], tmp_path / "work", scratch, strace=strace)
    assert seen.code == 3
    assert os.path.realpath(tmp_path / "elsewhere.yaml") in seen.touched
    assert len(seen.executed) == 1
    assert seen.peak > 10 * 2**20
    with pytest.raises(AssertionError, match=r"elsewhere\.yaml"):
        check_harmless(seen, tmp_path / "work", scratch)
    seen.touched.clear()
    check_harmless(seen, tmp_path / "work", scratch)
    for trouble in (seen.connected, seen.executed):
        trouble.append("sh")
        with pytest.raises(AssertionError, match="sh"):
            check_harmless(seen, tmp_path / "work", scratch)
        trouble.remove("sh")
