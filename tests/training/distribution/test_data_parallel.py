"""Trainings on several devices against those on one: two processes of one device, and one process of two."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from tests.digits import write_folders
from tests.training.distribution.launching import Ended, launch

pytestmark = pytest.mark.slow

NAME = "digits"
# 42 of 60 images train: the last of the batches of 16 has 10 rows.
SCRATCH = {
    "name": NAME,
    "data": {"train": "images", "image_size": 18, "batch_size": 16, "test": 0.1, "validation": 0.2},
    "model": {"base": "small_cnn", "weights": "none", "head": {"dropout": 0.3}},
    "transfer": {"strategy": "scratch"},
    "augmentation": {"preset": "medium"},
    "training": {"epochs": 2},
    "compute": {"distribution": "data_parallel", "precision": "float32"},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("data_parallel")
    write_folders(root / "images", {"a": 20, "b": 20, "c": 20}, size=(18, 18))
    return root


def trained(folder: Path, config: dict, run_id: str, **options) -> list[Ended]:
    ended = launch(folder, config, run_id, **options)
    assert [(process.code, process.stderr) for process in ended if process.code] == []
    return ended


def model_file(folder: Path, run_id: str) -> Path:
    return folder / "runs-0" / NAME / run_id / "checkpoints" / "last" / "model.safetensors"


def lines(folder: Path, run_id: str) -> list[dict]:
    text = (folder / "runs-0" / NAME / run_id / "metrics.jsonl").read_text(encoding="utf-8")
    timed = ("seconds", "images_per_second")
    return [{key: value for key, value in json.loads(line).items() if key not in timed} for line in text.splitlines()]


def differences(folder: Path, one: str, two: str) -> float:
    first, second = (load_file(model_file(folder, run_id)) for run_id in (one, two))
    assert first.keys() == second.keys()
    assert {tensor.dtype for tensor in first.values()} >= {np.dtype("float64")}
    return max(float(np.abs(first[name].astype(float) - second[name].astype(float)).max()) for name in first)


@pytest.fixture(scope="module")
def from_scratch(folder) -> Path:
    """Trainings from scratch in float64, with augmentation, dropout and BatchNorm."""
    exact = {"TEST_FLOATX": "float64", "JAX_ENABLE_X64": "1"}
    trained(folder, SCRATCH, "one", **exact)
    trained(folder, SCRATCH, "devices", devices=2, **exact)
    trained(folder, SCRATCH, "processes", processes=2, **exact)
    trained(folder, SCRATCH, "wrong", processes=2, TEST_WRONG_ROWS="1", **exact)
    return folder


def test_two_processes_end_with_the_bytes_of_one_process_on_two_devices(from_scratch):
    assert model_file(from_scratch, "devices").read_bytes() == model_file(from_scratch, "processes").read_bytes()
    assert lines(from_scratch, "devices") == lines(from_scratch, "processes")


def test_two_devices_end_with_the_weights_of_one(from_scratch):
    assert differences(from_scratch, "one", "devices") < 1e-7


def test_rows_of_another_process_are_found_out(from_scratch):
    assert differences(from_scratch, "one", "wrong") > 1e-5


def test_only_the_first_process_writes(from_scratch):
    assert not (from_scratch / "runs-1").exists()


def test_a_run_says_how_many_trained(from_scratch):
    for run_id, expected in (("devices", (1, 2)), ("processes", (2, 2)), ("one", (1, 1))):
        record = json.loads((from_scratch / "runs-0" / NAME / run_id / "run.json").read_text(encoding="utf-8"))
        assert tuple(record["distribution"].values()) == expected


def test_features_and_an_odd_last_batch_give_the_same_bytes_and_only_the_first_process_speaks(folder):
    config = {
        **SCRATCH,
        "transfer": {"strategy": "feature_extraction"},
        "data": {**SCRATCH["data"], "batch_size": 18, "validation": 0.25},  # the last batch has 3 rows
        "training": {"epochs": 3, "class_weights": "balanced", "optimizer": {"accumulate": 2}},
        "augmentation": {"preset": "light"},
    }
    trained(folder, config, "odd_devices", devices=2)
    first, second = trained(folder, config, "odd_processes", processes=2)
    assert json.loads(first.stdout)["status"] == "completed"
    assert (second.stdout, second.stderr) == ("", "")
    assert model_file(folder, "odd_devices").read_bytes() == model_file(folder, "odd_processes").read_bytes()
    assert lines(folder, "odd_devices") == lines(folder, "odd_processes")


def test_an_error_of_the_first_process_ends_all_alike(folder):
    config = {**SCRATCH, "data": {**SCRATCH["data"], "batch_size": 15}}
    ended = launch(folder, config, "uneven", processes=2)
    assert [process.code for process in ended] == [3, 3]
    assert "15 rows cannot be shared out evenly over 2 devices" in ended[0].stderr
    assert "14 or 16" in ended[0].stderr
    assert not (folder / "runs-0" / NAME / "uneven").exists()


ADAPTED = {  # low-rank changes of frozen layers, and augmentation that stays on the host
    "transfer": {"strategy": "lora", "lora": {"rank": 2}},
    "augmentation": {"layers": [{"RandAugment": {}}]},
}
MIXED = {  # phases that the program chooses, and images that are mixed with others of the batch
    "transfer": {"strategy": "auto"},
    "augmentation": {"layers": [{"RandomFlip": {"mode": "horizontal"}}, {"MixUp": {"alpha": 0.4}}]},
}


@pytest.mark.parametrize("changes", [ADAPTED, MIXED], ids=["lora", "auto"])
def test_strategies_and_augmentation_give_the_same_bytes(folder, changes):
    name = changes["transfer"]["strategy"]
    trained(folder, SCRATCH | changes, f"{name}_devices", devices=2)
    trained(folder, SCRATCH | changes, f"{name}_processes", processes=2)
    one, two = (model_file(folder, f"{name}_{kind}").read_bytes() for kind in ("devices", "processes"))
    assert one == two
    assert lines(folder, f"{name}_devices") == lines(folder, f"{name}_processes")
