"""Trials are ordinary runs, and an error of one is not the end of the sweep."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.listener import Listener
from tests.workflows.conftest import World
from transfercli.config.loader import dump
from transfercli.errors import (
    BusyError,
    ConfigError,
    DataError,
    DiskError,
    Interrupted,
    SplitsChangedError,
    WeightsError,
)
from transfercli.io.checksum import file_sha256
from transfercli.io.session import shared_session
from transfercli.reporting import Reporter
from transfercli.runs.folder import RunFolder
from transfercli.runs.listing import latest_completed, make_latest, newest_unfinished, present_status
from transfercli.runs.lock import experiment_lock, run_lock
from transfercli.workflows.stored_run import StoredRun
from transfercli.workflows.sweep import training
from transfercli.workflows.sweep.epochs import best_value
from transfercli.workflows.sweep.pool import train_trials
from transfercli.workflows.sweep.result import TrialRow
from transfercli.workflows.sweep.training import Pruned, train_trial
from transfercli.workflows.sweep.trials import OtherImagesError, TrialSpec, trial_job

RATE = "training.optimizer.learning_rate"


def spec_of(world: World, config: Path, number: int, **values: Any) -> TrialSpec:
    named = {key.replace("__", "."): value for key, value in values.items()}
    return TrialSpec(config, (), world.runs, "s", number, named)


def raising(error: Exception) -> Callable[..., None]:
    def train(*_: Any, **__: Any) -> None:
        raise error

    return train


def record_of(row: TrialRow) -> dict[str, Any]:
    assert row.run is not None
    content: dict[str, Any] = json.loads((row.run / "run.json").read_text())
    return content


def test_a_completed_trial_is_a_run_that_is_the_latest_only_once_it_is_chosen(world: World) -> None:
    config = world.config("c", "digits-target", training={"epochs": 1})
    experiment = world.runs / "c"
    spec = spec_of(world, config, 0)
    done = train_trial(spec, Reporter())
    assert (done.state, len(done.steps), done.value) == ("completed", 1, done.steps[0][1])
    assert record_of(done)["sweep"] == {"id": "s", "trial": 0}
    assert not (experiment / "latest").exists()
    assert train_trial(spec, Reporter()).value == done.value  # it is not trained again
    assert done.run is not None
    make_latest(RunFolder(done.run))
    assert latest_completed(experiment) == RunFolder(done.run)
    assert (experiment / "latest").readlink() == Path("s-000")


@pytest.mark.parametrize(
    "error, state, code, reason",
    [
        (ConfigError("the training loss became nan"), "failed", 3, "the training loss became nan"),
        (Pruned("no better"), "pruned", None, "no better"),
        (MemoryError("9 GB"), "failed", 8, "out of memory: 9 GB"),
        (KeyError("x"), "failed", 1, "bug: KeyError: 'x'"),
        (WeightsError("no weights"), "failed", 7, "no weights"),
        (DataError("bad images"), "failed", 4, "bad images"),
        (Interrupted(15), "interrupted", None, None),
    ],
)
def test_what_becomes_of_a_trial_that_ends_with_an_error(
    error: Exception, state: str, code: int | None, reason: str | None, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = world.runs / "c" / "s-001"
    run.mkdir(parents=True)
    monkeypatch.setattr(training, "train_job", raising(error))
    row = train_trial(spec_of(world, world.config("c", "digits-target"), 1), Reporter())
    assert (row.state, row.code, row.reason) == (state, code, reason)
    log = RunFolder(run).log
    assert log.exists() == (code == 1)
    if log.exists():
        assert "Traceback" in log.read_text()
        assert str(Path(training.__file__).parents[3]) not in log.read_text()


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), DiskError("the disk is full")])
def test_a_full_disk_is_not_the_fault_of_a_trial(
    error: Exception, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "train_job", raising(error))
    with pytest.raises(DiskError, match="the disk is full"):
        train_trial(spec_of(world, world.config("c", "digits-target"), 1), Reporter())


def test_other_images_end_the_sweep_before_they_are_trained_on(world: World) -> None:
    spec = spec_of(world, world.config("c", "digits-target"), 1)
    with pytest.raises(OtherImagesError, match="the images have changed"):
        train_trial(replace(spec, images="of the trials before"), Reporter())
    assert not (world.runs / "c" / "s-001").exists()


def test_images_that_another_trial_split_meanwhile_are_read_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[bool] = []

    def train(*_: Any, **__: Any) -> None:
        tries.append(True)
        raise SplitsChangedError("split") if len(tries) < 3 else ConfigError("the end")

    monkeypatch.setattr(training, "train_job", train)
    row = train_trial(spec_of(world, world.config("c", "digits-target"), 1), Reporter())
    assert (len(tries), row.state, row.reason) == (3, "failed", "the end")


def test_a_run_that_another_process_trains_is_left_to_it(world: World) -> None:
    spec, experiment = spec_of(world, world.config("c", "digits-target"), 7), world.runs / "c"
    with experiment_lock(experiment):
        assert train_trial(spec, Reporter()).state == "running"
    with experiment_lock(experiment, shared=True):
        with run_lock(RunFolder(experiment / "s-007")):
            busy = train_trial(spec, Reporter())
        with pytest.raises(BusyError), experiment_lock(experiment):
            pass
    assert busy.state == "running"
    assert "another process has been training c/s-007" in str(busy.reason)


@pytest.mark.parametrize("given, recorded, expected", [(None, None, 2), (3, None, 3), (None, 1, 1)])
def test_the_threads_of_a_trial_are_those_of_the_config_or_of_its_run(
    given: int | None, recorded: int | None, expected: int, world: World
) -> None:
    config = world.config("c", "digits-target", compute={"threads": given} if given else {})
    spec = replace(spec_of(world, config, 1), threads=2)
    if recorded:
        job = trial_job(replace(spec, threads=recorded), Reporter())
        job.run.path.mkdir(parents=True)
        job.run.config.write_text(dump(job.config))
        job.run.labels.write_text("[]")
        facts = {"command": "", "config_folder": "../../..", "versions": {}, "data": {"fingerprint": "", "images": {}}}
        job.run.record.write_text(json.dumps({"status": "interrupted", **facts}))
    assert trial_job(spec, Reporter()).config.compute.threads == expected


def test_a_pruned_run_is_not_offered_to_go_on(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "c" / "s-001")
    run.path.mkdir(parents=True)
    run.record.write_text(json.dumps({"status": "failed", "pruned": {"epoch": 3, "val_accuracy": 0.4}}))
    assert present_status(run) == "pruned"
    assert newest_unfinished(tmp_path / "c") is None


@pytest.mark.slow
def test_runs_of_a_session_share_the_file_of_equal_frozen_tensors(source: tuple[World, dict[str, Any]]) -> None:
    world, base = source
    frozen = {"transfer": {"strategy": "feature_extraction"}, "model": {"weights": {"run": base["run"]}}}
    config = world.config("linked", "digits-target", training={"epochs": 1}, **frozen)
    with shared_session():
        rows = [
            train_trial(spec_of(world, config, n, **{RATE: rate}), Reporter()) for n, rate in enumerate((0.1, 0.01))
        ]
    files = [RunFolder(row.run).checkpoints / "frozen.safetensors" for row in rows if row.run]
    assert files[0].samefile(files[1])


@dataclass
class Listed:
    """Trials that are given one after the other."""

    specs: list[TrialSpec]
    rows: list[TrialRow] = field(default_factory=list)

    @property
    def progress(self) -> tuple[int, int]:
        return len(self.rows), len(self.rows) + len(self.specs)

    def next(self) -> TrialSpec | None:
        return self.specs.pop(0) if self.specs else None

    def report(self, number: int, epoch: int, value: float) -> bool:
        return number == 3

    def done(self, row: TrialRow) -> None:
        self.rows.append(row)


@pytest.mark.slow
def test_two_processes_make_features_once_and_a_warm_one_gives_the_same_bits(
    source: tuple[World, dict[str, Any]],
) -> None:
    world, base = source
    frozen = {"transfer": {"strategy": "feature_extraction"}, "model": {"weights": {"run": base["run"]}}}
    compute = {"threads": 1, "cache_dir": str(world.folder / "own-cache")}
    config = world.config("two", "digits-target", training={"epochs": 3}, compute=compute, **frozen)
    values: list[dict[str, Any]] = [
        {RATE: 0.01},
        {RATE: 0.1},
        {RATE: 1e38, "training.optimizer.name": "sgd"},
        {RATE: 0.02},
        {RATE: 0.01},
    ]
    source_of_trials = Listed([spec_of(world, config, number, **value) for number, value in enumerate(values)])
    train_trials(source_of_trials, 2, Reporter())
    rows = sorted(source_of_trials.rows, key=lambda row: row.number)
    assert [row.state for row in rows] == ["completed", "completed", "failed", "pruned", "completed"]
    assert len(rows[3].steps) == 1
    assert record_of(rows[3])["pruned"]["epoch"] == 1
    misses = [record_of(row)["cache"]["features"]["misses"] for row in rows]
    assert sorted(misses)[:-1] == [0, 0, 0, 0]
    assert max(misses) > 0
    models = [RunFolder(row.run).checkpoints / "best" / "model.safetensors" for row in (rows[0], rows[4]) if row.run]
    same = [file_sha256(model) for model in models]
    assert same[0] == same[1]
    assert [path.name for path in (world.runs / "two").glob(".*")] == [".lock"]  # no lock of a run is left


@pytest.mark.slow
def test_folds_judge_a_trial_by_their_mean_and_a_bad_first_fold_ends_it(world: World) -> None:
    config = world.config("folded", "digits-target", training={"epochs": 1}, data={"test": None})
    spec = replace(spec_of(world, config, 0), folds=2)
    row = train_trial(spec, Reporter())
    names = [run.name for run in row.runs]
    assert (row.state, names) == ("completed", ["s-000-fold1", "s-000-fold2"])
    values = [best_value(RunFolder(run), "val_accuracy") for run in row.runs]
    assert row.value == sum(values) / 2
    assert row.steps == ((1, values[0]), (2, row.value))
    assert record_of(row)["sweep"] == {"id": "s", "trial": 0}
    assert record_of(row)["folds"]["fold"] == 1
    early = train_trial(replace(spec, number=1), Reporter(), lambda step, _: step == 1)
    assert (early.state, (world.runs / "folded" / "s-001-fold2").exists()) == ("pruned", False)


def test_images_that_an_ancestor_learnt_from_give_a_trial_no_value(source: tuple[World, dict[str, Any]]) -> None:
    world, parent = source
    model = {"base": "small_cnn", "weights": {"run": parent["run"]}, "head": {"init": "keep"}}
    data = {"validation": 0.4}
    config = world.config("leak", "digits-source", seed=5, data=data, model=model, training={"epochs": 1})
    reporter = Listener()
    trial = train_trial(spec_of(world, config, 0), reporter)
    assert trial.run is not None
    run, ancestor = (StoredRun(RunFolder(path)) for path in (trial.run, world.folder / parent["run"]))
    answers, trained = run.held_out, {image.sha256 for image in ancestor.images if image.split == "train"}
    assert answers is not None
    sha256s = {image.path: image.sha256 for image in run.images}
    clean = np.array([sha256s[path] not in trained for path in answers.paths])
    assert 10 < clean.sum() < len(clean) / 2
    right = answers.logits.argmax(axis=1) == answers.targets
    assert trial.value == pytest.approx(right[clean].mean())
    assert trial.value != best_value(run.folder, "val_accuracy")
    assert trial.steps == ()  # of its epochs, no other trial is judged by
    assert any(f"is of the other {clean.sum()}" in line for line in reporter.infos)
