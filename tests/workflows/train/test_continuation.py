"""Further epochs after the end of a run: a new run, with the bits of one that had as many epochs from the start."""

from __future__ import annotations

import csv
import hashlib
import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.listener import Listener
from tests.workflows.conftest import World
from transfercli.errors import ArtefactError, ConfigError, DataError, Interrupted, UsageError
from transfercli.reporting import Reporter
from transfercli.workflows.stored_run import StoredRun
from transfercli.workflows.train.continuation import ContinueRequest
from transfercli.workflows.train.train import train

FILES = ("model.safetensors", "state.safetensors", "state.json")


def go_on(world: World, run: str, epochs: int, reporter: Reporter | None = None, **more: Any) -> dict[str, Any]:
    request = ContinueRequest("finetune", run, epochs, world.runs, **more)
    return train(request, reporter or Reporter()).as_json()


def lines_of(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def untimed(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in line.items() if k not in ("seconds", "images_per_second")} for line in lines]


def contents(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def equal_checkpoints(one: Path, two: Path) -> bool:
    names = [f"checkpoints/{which}/{file}" for which in ("best", "last") for file in FILES[:2]]
    return all((one / name).read_bytes() == (two / name).read_bytes() for name in names)


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory, digits_folder: Path) -> Path:
    """A folder with `digits-target`: 20 training images of each class."""
    root = tmp_path_factory.mktemp("few")
    for folder in sorted((digits_folder / "digits-target/train").iterdir()):
        target = root / "digits-target" / folder.name
        target.mkdir(parents=True)
        for path in sorted(folder.glob("*.png"))[:20]:
            shutil.copy(path, target)
    return root


@pytest.fixture
def world(tmp_path: Path, few: Path) -> World:
    return World(tmp_path, few)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, few: Path) -> World:
    """A world with a completed run `t/a` of two epochs: its base is frozen, and its features are cached."""
    world = World(tmp_path_factory.mktemp("going-on"), few)
    head, optimizer = {"hidden": [16], "dropout": 0.2}, {"learning_rate": 0.01}
    config = world.config(
        "t", "digits-target", model={"head": head}, training={"optimizer": optimizer}, compute={"cache": "require"}
    )
    world.train("finetune", config, run_id="a")
    return world


@pytest.fixture
def copied(shared: World, tmp_path: Path, few: Path) -> World:
    """The same run in a folder of its own."""
    shutil.copytree(shared.runs, tmp_path / "runs", symlinks=True)
    shutil.copy(shared.folder / "t.yaml", tmp_path / "t.yaml")
    return World(tmp_path, few)


def test_a_run_that_went_on_has_the_bits_of_one_with_as_many_epochs_and_the_old_one_is_unchanged(
    shared: World,
) -> None:
    run = shared.runs / "t"
    before, listener = contents(run / "a"), Listener()
    result = go_on(shared, "t/a", 2, listener, run_id="b")
    whole = shared.train("finetune", shared.folder / "t.yaml", run_id="whole", overrides=("training.epochs=4",))
    assert Path(result["run"]) == run / "b"
    assert contents(run / "a") == before
    assert equal_checkpoints(run / "b", run / "whole")
    assert untimed(lines_of(run / "b")) == untimed(lines_of(run / "whole"))
    assert (result["metrics"], result["best_epoch"]) == (whole["metrics"], whole["best_epoch"])
    record = json.loads((run / "b" / "run.json").read_text())
    assert record["parent"] == "t/a"
    assert record["continues"] == {"run": "t/a", "epoch": 2, "epochs": 2, "optimizer": "kept", "schedule": "kept"}
    assert StoredRun(StoredRun.find("t/b", shared.runs, Reporter()).folder).config.training.epochs == 4
    assert any("2 epochs more after epoch 2 of t/a, with the weights of that epoch" in text for text in listener.infos)
    assert "the learning rate stays at 0.01" in listener.infos


@pytest.mark.slow
def test_stopped_in_its_first_or_a_later_epoch_it_goes_on_to_the_same_bits(shared: World) -> None:
    run = shared.runs / "t"
    go_on(shared, "t/a", 3, run_id="three")
    for epoch in (3, 5):
        with pytest.raises(Interrupted) as stopped:
            go_on(shared, "t/a", 3, Listener(stop_at=f"epoch {epoch}"), run_id=f"stopped{epoch}")
        assert f"--resume t/stopped{epoch}" in str(stopped.value.hint)
    shared.train("finetune", None, resume="t/stopped5")
    again = go_on(shared, "t/a", 3, run_id="stopped3")  # the same command goes on, too
    assert again == go_on(shared, "t/a", 3, run_id="stopped3")
    for epoch in (3, 5):
        assert equal_checkpoints(run / f"stopped{epoch}", run / "three")
    with pytest.raises(ConfigError, match="started with another config"):
        go_on(shared, "t/a", 4, run_id="three")


@pytest.mark.parametrize(
    "strategy, optimizer",
    [
        ("full", {"name": "sgd", "ema": 0.9, "accumulate": 3}),
        pytest.param("lora", {"name": "adam"}, marks=pytest.mark.slow),
        pytest.param("gradual", {"name": "adamw", "weight_decay": 0.01}, marks=pytest.mark.slow),
    ],
)
@pytest.mark.slow
def test_the_last_phase_goes_on_with_its_layers_and_the_whole_state_of_its_optimizer(
    world: World, strategy: str, optimizer: dict[str, Any]
) -> None:
    augmentation = {"preset": "light", "views": 2}
    config = world.config(
        "t",
        "digits-target",
        transfer={"strategy": strategy},
        augmentation=augmentation,
        training={"epochs": 2 if strategy == "full" else 4, "optimizer": optimizer},
    )
    world.train("finetune", config, run_id="a")
    phases = json.loads((world.runs / "t/a/run.json").read_text())["phases"]
    go_on(world, "t/a", 2, run_id="b")
    went_on = json.loads((world.runs / "t/b/run.json").read_text())["phases"]
    assert went_on[:-1] == phases[:-1]
    assert went_on[-1] == phases[-1] | {"epochs": phases[-1]["epochs"] + 2}
    # A run with as many epochs from the start, whose phases are those.
    with pytest.MonkeyPatch.context() as patch:
        from transfercli.training.phases import recorded_phases

        patch.setattr("transfercli.transfer.strategies.phases_of", lambda *_: recorded_phases(went_on))
        world.train("finetune", config, run_id="whole")
    assert equal_checkpoints(world.runs / "t/b", world.runs / "t/whole")


@pytest.mark.slow
def test_a_schedule_that_ended_begins_again_and_others_go_on(copied: World) -> None:
    def rates(run: str) -> list[float]:
        return [line["learning_rate"] for line in lines_of(copied.runs / "t" / run)]

    listener = Listener()
    go_on(copied, "t/a", 2, listener, run_id="cosine", overrides=("training.schedule.name=cosine",))
    assert rates("cosine")[:2] == rates("a")
    updates = [2, 5]  # the last of each epoch, of six
    assert rates("cosine")[2:] == pytest.approx([0.01 * (1 + math.cos(math.pi * n / 6)) / 2 for n in updates])
    go_on(copied, "t/cosine", 2, listener, run_id="again")
    assert rates("again")[4:] == rates("cosine")[2:]
    assert any("the schedule cosine begins again (a warm restart), over 2 epochs, at 0.01" in t for t in listener.infos)
    go_on(copied, "t/a", 1, run_id="lower", overrides=("training.optimizer.learning_rate=1e-3",))
    assert rates("lower")[2] == pytest.approx(1e-3)


def test_another_optimizer_starts_a_phase_without_state_and_says_so(copied: World) -> None:
    listener = Listener()
    go_on(copied, "t/a", 1, listener, run_id="sgd", overrides=("training.optimizer.name=sgd",))
    record = json.loads((copied.runs / "t/sgd/run.json").read_text())
    assert [phase["epochs"] for phase in record["phases"]] == [2, 1]
    assert record["continues"]["optimizer"] == "new"
    assert any("the weights of its last epoch and a new sgd, without state" in text for text in listener.infos)


def test_a_plateau_goes_on_from_the_reduced_rate_and_a_run_stopped_early_is_patient_again(world: World) -> None:
    schedule = {"name": "plateau", "patience": 1, "gamma": 0.5}
    stopping = {"monitor": "val_accuracy", "patience": 2}
    training = {"epochs": 9, "schedule": schedule, "early_stopping": stopping, "optimizer": {"learning_rate": 1e-30}}
    world.train("finetune", world.config("t", "digits-target", training=training), run_id="a")
    before = lines_of(world.runs / "t/a")
    assert len(before) == 3  # nothing improves at such a rate
    go_on(world, "t/a", 5, run_id="b")
    lines = lines_of(world.runs / "t/b")
    assert len(lines) == 5
    rates = [1e-30 / 2**n for n in (0, 0, 1, 2, 3)]
    assert [line["learning_rate"] for line in lines] == pytest.approx(rates, rel=1e-6, abs=0)


@pytest.mark.parametrize(
    "run, more, error, text",
    [
        ("t/none", {}, ArtefactError, "no run 't/none'"),
        ("t/a", {"overrides": ("data.batch_size=4",)}, ConfigError, "allowed: keys of training.optimizer"),
        ("t/a", {"overrides": ("training.optimizer.name=adm",)}, ConfigError, "did you mean"),
        ("t/a", {"run_id": "a"}, ConfigError, "is the run to continue itself"),
        ("t/a", {"run_id": "latest"}, UsageError, "cannot name a run folder"),
    ],
)
def test_what_cannot_go_on_is_refused_and_nothing_is_written(
    shared: World, run: str, more: dict[str, Any], error: type[Exception], text: str
) -> None:
    before = sorted(path.name for path in (shared.runs / "t").iterdir())
    with pytest.raises(error, match=text):
        go_on(shared, run, 1, **more)
    assert sorted(path.name for path in (shared.runs / "t").iterdir()) == before


def test_an_interrupted_run_is_resumed_instead(copied: World) -> None:
    record = copied.runs / "t/a/run.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"status": "interrupted"}))
    with pytest.raises(ArtefactError, match="t/a is interrupted") as refused:
        go_on(copied, "t/a", 1)
    assert "--resume t/a" in str(refused.value.hint)


def test_the_members_of_a_merged_run_go_on_instead(copied: World) -> None:
    record = copied.runs / "t/a/run.json"
    merged = {"workflow": "merge", "merged": {"members": [{"run": "t/b"}, {"run": "t/c"}]}}
    record.write_text(json.dumps(json.loads(record.read_text()) | merged))
    with pytest.raises(UsageError, match="t/a was merged from other runs") as refused:
        go_on(copied, "t/a", 1)
    assert refused.value.hint == "continue one of them: t/b, t/c"


@pytest.mark.parametrize(
    "facts, text",
    [
        ({"phases": [{"unfreeze": "none", "epochs": 0, "learning_rate": 0.0, "kind": "probe"}]}, "no gradient epochs"),
        ({"cross_validated": 719}, "learnt from its validation images in the end"),
    ],
)
def test_a_solved_or_refitted_head_does_not_go_on(copied: World, facts: dict[str, Any], text: str) -> None:
    record = copied.runs / "t/a/run.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | facts))
    with pytest.raises(ConfigError, match=text):
        go_on(copied, "t/a", 1)


def test_changed_data_is_an_error_of_the_data(world: World, tmp_path: Path) -> None:
    shutil.copytree(world.samples / "digits-target", tmp_path / "data")
    config = world.config("t", "digits-target", data={"train": str(tmp_path / "data")}, training={"epochs": 1})
    world.train("finetune", config, run_id="a")
    rows = csv.DictReader((world.runs / "t/a/dataset.csv").read_text().splitlines())
    (tmp_path / "data" / next(row["path"] for row in rows if row["split"] == "train")).unlink()
    with pytest.raises(DataError, match="the data changed since t/a was trained"):
        go_on(world, "t/a", 1, run_id="b")
    assert not (world.runs / "t/b").exists()


def test_a_dry_run_counts_the_further_epochs_alone(shared: World) -> None:
    result = go_on(shared, "t/a", 7, run_id="dry", dry_run=True)
    assert [phase["epochs"] for phase in result["phases"]] == [7]
    assert not (shared.runs / "t/dry").exists()


def test_the_hint_after_a_run_that_still_improved_names_the_command(
    copied: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("transfercli.training.checks.still_improving", lambda *_: True)
    listener = Listener()
    go_on(copied, "t/a", 1, listener, run_id="c")
    command = f"transfercli finetune --runs {copied.runs} --continue t/c --epochs 1"
    assert f"the validation loss still fell in the last epoch; to train further epochs: {command}" in listener.infos
