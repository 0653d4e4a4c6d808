"""Runs with several labels per image: a new label extends the head, a stopped run goes on, a damaged file is found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.listener import Listener
from tests.scenes import write_scenes
from transfercli.errors import ArtefactError, ConfigError, DataError, Interrupted
from transfercli.runs.folder import RunFolder
from transfercli.training.checkpoints import Checkpoints
from transfercli.workflows.stored_run import StoredRun

LABELS = {"columns": {"label": "labels"}, "label_separator": ";"}


def weights(run: str | Path) -> dict[str, np.ndarray]:
    return Checkpoints(RunFolder(Path(run)).checkpoints).load("best").model


@pytest.fixture
def scenes(world) -> Any:
    write_scenes(world.folder / "scenes", range(40))

    def train(name: str, *overrides: str, reporter: Any = None, **more: Any) -> dict[str, Any]:
        data = {"train": str(world.folder / "scenes" / "labels.csv"), **LABELS}
        config = world.config(name, "", data=data, transfer={"strategy": "scratch"})
        return world.train("finetune", config, reporter, overrides=overrides, **more)

    train.folder = world.folder / "scenes"  # type: ignore[attr-defined]
    return train


EXTENDED = ("transfer.strategy=full", "model.weights={run: first}", "model.head.init=extend")


def test_a_new_label_extends_the_head_and_earlier_labels_keep_their_weights(scenes) -> None:
    first = scenes("first")
    write_scenes(scenes.folder, range(40, 80), labels=(1, 2, 3))
    second = scenes("second", *EXTENDED, "training.optimizer={name: sgd, learning_rate: 1e-12}", "training.epochs=1")
    assert json.loads((Path(second["run"]) / "labels.json").read_text()) == ["0", "1", "2", "3"]
    before, after = (weights(run["run"])["head/logits/kernel"] for run in (first, second))
    assert after.shape[1] == 4
    np.testing.assert_allclose(after[:, :3], before, atol=1e-6)
    np.testing.assert_allclose(after[:, 3], 0, atol=1e-6)


def test_a_label_that_the_data_does_not_have_any_more_is_unknown_and_keeps_its_weights(scenes) -> None:
    write_scenes(scenes.folder, range(40, 80), labels=(1, 2, 3))
    first = scenes("first")
    (scenes.folder / "labels.csv").unlink()
    write_scenes(scenes.folder, range(80))
    second = scenes("second", *EXTENDED, "training.optimizer={name: adam}")
    assert second["status"] == "completed"
    run = StoredRun(RunFolder(Path(second["run"])))
    assert run.labels == ("0", "1", "2", "3")
    assert run.held_out is not None
    assert (run.held_out.targets[:, 3] == -1).all()
    before, after = (weights(run["run"])["head/logits/kernel"] for run in (first, second))
    np.testing.assert_array_equal(after[:, 3], before[:, 3])
    assert not np.array_equal(after[:, 0], before[:, 0])


def test_a_probe_solves_a_new_label_and_keeps_one_that_the_data_does_not_have_any_more(scenes) -> None:
    first = scenes("first")
    (scenes.folder / "labels.csv").unlink()
    write_scenes(scenes.folder, range(100, 160), labels=(1, 2, 3))
    solved = scenes("solved", *EXTENDED, "transfer.strategy=linear_probe", "model.head.taps=[]")
    run = StoredRun(RunFolder(Path(solved["run"])))
    assert run.labels == ("0", "1", "2", "3")
    before, after = (weights(one["run"])["head/logits/kernel"] for one in (first, solved))
    np.testing.assert_array_equal(after[:, 0], before[:, 0])
    assert after[:, 3].any()


def test_a_kept_head_refuses_new_labels_and_one_of_another_task(scenes, world) -> None:
    scenes("first")
    write_scenes(scenes.folder, range(40, 80), labels=(1, 2, 3))
    with pytest.raises(DataError, match="classes that the kept head does not have: '3'"):
        scenes("kept", *EXTENDED, "model.head.init=keep")
    model = {"weights": {"run": "first"}, "head": {"init": "extend"}}
    config = world.config("one", "digits-target", model=model, training={"epochs": 1})
    with pytest.raises(
        ConfigError, match=r"takes the head of first.*, which is of task: multilabel, and this config is of task: c"
    ):
        world.train("finetune", config)


@pytest.mark.slow
def test_a_stopped_run_with_several_labels_goes_on_to_the_same_bits(scenes, world) -> None:
    extra = (
        "model.head.dropout=0.2",
        "augmentation.layers=[{RandomFlip: {}}, {MixUp: {probability: 0.5}}, {CutMix: {}}]",
        "training.optimizer.ema=0.9",
    )
    whole = scenes("s", *extra, run_id="whole")
    with pytest.raises(Interrupted):
        scenes("s", *extra, run_id="stopped", reporter=Listener(stop_at="epoch 2"))
    resumed = world.train("finetune", None, resume="s/stopped")
    files = ("checkpoints/last.safetensors", "held_out.safetensors", "calibration.json", "dataset.csv", "labels.json")
    for name in files:
        first, second = (Path(run["run"]) / name for run in (whole, resumed))
        if first.exists() or second.exists():
            assert first.read_bytes() == second.read_bytes(), name
    assert {n: v.tobytes() for n, v in weights(whole["run"]).items()} == {
        n: v.tobytes() for n, v in weights(resumed["run"]).items()
    }


@pytest.mark.parametrize("name, start", [("calibration.json", 20), ("held_out.safetensors", 30), ("dataset.csv", 12)])
def test_a_damaged_file_of_a_run_with_several_labels_is_found(scenes, name: str, start: int) -> None:
    folder = RunFolder(Path(scenes("d", "training.epochs=1")["run"]))
    path = folder.path / name
    content = bytearray(path.read_bytes())
    content[start : start + 8] = b"\xff" * 8
    path.write_bytes(bytes(content))
    run = StoredRun(folder)
    with pytest.raises(ArtefactError):
        run.images, run.label_trust, run.held_out  # noqa: B018 - reading checks each of them
