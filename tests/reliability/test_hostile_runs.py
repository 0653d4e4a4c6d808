"""Hostile configs, and runs from strangers, through the whole program under observation."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.reliability.hostile_configs import CONFIGS
from tests.reliability.hostile_runs import RUNS
from tests.reliability.observer import PACKAGE, check_harmless, observe

FAST_CONFIGS = {"alias bomb", "python object", "deep", "name climbs", "extends a device", "lambda layer"}
FAST_RUNS = {
    *("evaluation leads out", "labels are a pipe", "record without bounds", "config with a head larger than memory"),
    *("pickle as tensors, vouched for", "manifest that climbs"),
}


def some(names: dict, fast: set[str]) -> list:
    assert fast <= set(names)
    return [pytest.param(name, marks=[] if name in fast else pytest.mark.slow) for name in names]


@pytest.mark.parametrize("name", some(CONFIGS, FAST_CONFIGS))
def test_a_hostile_config_is_exit_3_and_reaches_nothing(
    name: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (work / "c.yaml").write_bytes(CONFIGS[name])
    before = set(tmp_path.rglob("*"))
    scratch = tmp_path_factory.mktemp("observed")
    seen = observe(["finetune", "c.yaml"], work, scratch)
    assert seen.code == 3, seen.stderr
    check_harmless(seen, work, scratch)
    assert set(tmp_path.rglob("*")) == before


@pytest.fixture(scope="module")
def whole(digits_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a whole run, x/r1, of an epoch on sixty digits."""
    folder = tmp_path_factory.mktemp("whole")
    for label in "012":
        (folder / "data" / label).mkdir(parents=True)
        for file in sorted((digits_folder / "digits" / "train" / label).iterdir())[:20]:
            shutil.copy(file, folder / "data" / label)
    config = {
        "name": "x",
        "data": {"train": "data", "image_size": 32},
        "model": {"base": "small_cnn", "weights": "none"},
        "transfer": {"strategy": "scratch"},
        "training": {"epochs": 1},
    }
    (folder / "c.yaml").write_text(yaml.safe_dump(config))
    subprocess.run(
        [sys.executable, "-P", "-m", "transfercli", "finetune", "c.yaml", "--run-id", "r1", "--quiet"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(PACKAGE)},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return folder


@pytest.mark.parametrize("name", some(RUNS, FAST_RUNS))
def test_a_hostile_run_is_exit_6_and_reaches_nothing(
    name: str, whole: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    work, outside = tmp_path / "work", tmp_path / "outside"
    shutil.copytree(whole, work, symlinks=True)
    (outside / "precious" / "test").mkdir(parents=True)
    (outside / "precious" / "test" / "mine").write_text("mine")
    (outside / "secret.h5").write_bytes(b"secret")
    RUNS[name](work / "runs" / "x" / "r1", outside)
    before = set(tmp_path.rglob("*"))
    scratch = tmp_path_factory.mktemp("observed")
    seen = observe(["evaluate", "x/r1"], work, scratch)
    assert seen.code == 6, seen.stderr
    check_harmless(seen, work, scratch)
    assert set(tmp_path.rglob("*")) == before
    assert (outside / "precious" / "test" / "mine").read_text() == "mine"
    assert (outside / "secret.h5").read_bytes() == b"secret"
