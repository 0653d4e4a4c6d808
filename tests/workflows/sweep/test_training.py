"""Trials are ordinary runs, and an error of one is not the end of the sweep."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.workflows.conftest import World
from transfercli.errors import DiskError
from transfercli.io.checksum import file_sha256
from transfercli.io.session import shared_session
from transfercli.reporting import Reporter
from transfercli.runs.folder import RunFolder
from transfercli.runs.listing import latest_completed, make_latest, newest_unfinished, present_status
from transfercli.runs.lock import experiment_lock, run_lock
from transfercli.workflows.sweep import training
from transfercli.workflows.sweep.pool import train_trials
from transfercli.workflows.sweep.result import TrialRow
from transfercli.workflows.sweep.training import Pruned, train_trial
from transfercli.workflows.sweep.trials import TrialSpec

RATE = "training.optimizer.learning_rate"


class AfterEpoch(Reporter):
    """Reporter that does something after each epoch, and keeps the names of the log files."""

    def __init__(self, then: Callable[[dict[str, Any]], None] = lambda _: None) -> None:
        self.then = then
        self.log = Path()

    def epoch(self, record: dict[str, Any], total: int) -> None:
        self.then(record)

    def attach_log(self, path: Path) -> None:
        self.log = path


def spec_of(world: World, config: Path, number: int, **values: Any) -> TrialSpec:
    named = {key.replace("__", "."): value for key, value in values.items()}
    return TrialSpec(config, (), world.runs, "s", number, named)


def raising(error: Exception) -> Callable[[dict[str, Any]], None]:
    def then(_: dict[str, Any]) -> None:
        raise error

    return then


def record_of(row: TrialRow) -> dict[str, Any]:
    assert row.run is not None
    content: dict[str, Any] = json.loads((row.run / "run.json").read_text())
    return content


def test_what_becomes_of_a_trial(world: World) -> None:
    config = world.config("c", "digits-target", training={"epochs": 1})
    experiment = world.runs / "c"

    done = train_trial(spec_of(world, config, 0), Reporter())
    assert (done.state, len(done.steps), done.value) == ("completed", 1, done.steps[0][1])
    assert record_of(done)["sweep"] == {"id": "s", "trial": 0}
    assert not (experiment / "latest").exists()
    assert train_trial(spec_of(world, config, 0), Reporter()).value == done.value  # it is not trained again

    diverged = train_trial(spec_of(world, config, 1, **{RATE: 1e30}), Reporter())
    assert (diverged.state, diverged.code) == ("failed", 3)
    assert "loss became" in str(diverged.reason)

    early = train_trial(spec_of(world, config, 2), AfterEpoch(raising(Pruned("no better"))))
    assert (early.state, early.reason, early.value, len(early.steps)) == ("pruned", "no better", None, 1)

    memory = train_trial(spec_of(world, config, 3), AfterEpoch(raising(MemoryError("9 GB"))))
    assert (memory.state, memory.code, memory.reason) == ("failed", 8, "out of memory: 9 GB")

    bug = train_trial(spec_of(world, config, 4), AfterEpoch(raising(KeyError("x"))))
    assert (bug.state, bug.code, bug.reason) == ("failed", 1, "bug: KeyError: 'x'")
    assert bug.run is not None
    log = RunFolder(bug.run).log.read_text()
    assert "Traceback" in log
    assert str(Path(training.__file__).parents[3]) not in log

    missing = train_trial(spec_of(world, config, 5, **{"model.weights": {"path": "no.h5"}}), Reporter())
    assert (missing.state, missing.code, missing.run and missing.run.exists()) == ("failed", 7, False)

    with pytest.raises(DiskError, match="the disk is full"):
        train_trial(spec_of(world, config, 6), AfterEpoch(raising(OSError(28, "No space left on device"))))

    assert done.run is not None
    make_latest(RunFolder(done.run))
    assert latest_completed(experiment) == RunFolder(done.run)
    assert (experiment / "latest").readlink() == Path("s-000")
    with experiment_lock(experiment):
        assert train_trial(spec_of(world, config, 7), Reporter()).state == "running"
    with experiment_lock(experiment, shared=True), run_lock(RunFolder(experiment / "s-007")):
        busy = train_trial(spec_of(world, config, 7), Reporter())
        assert (busy.state, "another process has been training c/s-007" in str(busy.reason)) == ("running", True)


def test_a_pruned_run_is_not_offered_to_go_on(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "c" / "s-001")
    run.path.mkdir(parents=True)
    run.record.write_text(json.dumps({"status": "failed", "pruned": {"epoch": 3, "val_accuracy": 0.4}}))
    assert present_status(run) == "pruned"
    assert newest_unfinished(tmp_path / "c") is None


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
    misses = [record_of(row)["cache"]["features"]["misses"] for row in rows]
    assert misses[0] > 0
    assert misses[1] == 0


@dataclass
class Listed:
    """Trials that are given one after the other."""

    specs: list[TrialSpec]
    rows: list[TrialRow] = field(default_factory=list)

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
    values: list[dict[str, Any]] = [{RATE: 0.01}, {RATE: 0.1}, {RATE: 1e30}, {RATE: 0.02}, {RATE: 0.01}]
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
    assert [path.name for path in (world.runs / "two").glob(".*")] == []  # no lock is left
