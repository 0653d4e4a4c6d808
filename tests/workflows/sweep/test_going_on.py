"""Sweeps that are stopped and go on."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.workflows.sweep.conftest import SPACE, START, Formula, Killed, Sweeps
from transfercli.config.loader import load
from transfercli.errors import ConfigError, DataError, Interrupted
from transfercli.reporting import Reporter
from transfercli.workflows.sweep import sweep as recipe
from transfercli.workflows.sweep.result import SweepResult, TrialRow
from transfercli.workflows.sweep.trials import TrialSource, TrialSpec

Facts = Callable[[SweepResult], list[tuple[Any, ...]]]


@pytest.mark.parametrize("sampler", ["tpe", "random"])
@pytest.mark.parametrize("pruner", ["none", "median", "successive_halving"])
def test_a_sweep_that_is_killed_again_and_again_ends_as_one_that_is_not(
    sampler: str, pruner: str, tmp_path: Path, formula: Formula, facts: Facts
) -> None:
    options = [f"sweep.sampler={sampler}", f"sweep.pruner={pruner}"]
    (tmp_path / "whole").mkdir()
    whole = Sweeps(tmp_path / "whole").run(overrides=options)
    epochs = sorted(formula.trained)

    (tmp_path / "killed").mkdir()
    killed, moments = Sweeps(tmp_path / "killed"), random.Random(0)
    formula.trained.clear()
    for _ in range(100):
        formula.moments, formula.kill_at = 0, moments.randint(1, 25)
        try:
            result = killed.run(overrides=options)
            break
        except Killed:
            continue
    assert facts(result) == facts(whole)
    assert result.winner
    assert whole.winner
    assert result.winner["trial"] == whole.winner["trial"]
    trained_again = Counter(formula.trained) - Counter(epochs)
    finished = {row.run.name for row in whole.trials if row.state == "completed" and row.run}
    assert not [epoch for epoch in trained_again if epoch[0] in finished]


def test_a_finished_sweep_trains_nothing_again(sweeps: Sweeps, formula: Formula, facts: Facts) -> None:
    first = sweeps.run()
    formula.trained.clear()
    again = sweeps.run()
    assert facts(again) == facts(first)
    assert formula.trained == []


def test_more_trials_go_on_with_the_same_sweep(sweeps: Sweeps, formula: Formula, facts: Facts) -> None:
    first = sweeps.run()
    formula.trained.clear()
    more = sweeps.run(overrides=["sweep.trials=15"])
    assert more.sweep == first.sweep
    assert facts(more)[:12] == facts(first)
    assert {run for run, _ in formula.trained} == {f"{first.sweep}-{number:03d}" for number in (12, 13, 14)}


def test_the_budget_ends_a_command_and_the_next_one_goes_on(sweeps: Sweeps) -> None:
    assert len(sweeps.run(overrides=["sweep.budget=1e-9"]).trials) == 0
    assert len(sweeps.run().trials) == 12


@pytest.mark.parametrize("bytes_left", [1, 7, 30])
def test_a_torn_line_of_the_journal_does_not_stop_a_sweep(
    bytes_left: int, sweeps: Sweeps, formula: Formula, facts: Facts
) -> None:
    formula.kill_at = 30
    with pytest.raises(Killed):
        sweeps.run()
    journal = next(sweeps.folder.glob("runs/flowers/sweeps/*/journal.log"))
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:-1]) + lines[-1][:bytes_left])
    formula.kill_at = None
    result = sweeps.run()
    assert [row.number for row in result.trials] == list(range(12))


def test_another_config_is_another_sweep_and_says_so(sweeps: Sweeps) -> None:
    first = sweeps.run()
    other = sweeps.run(overrides=["training.epochs=7"])
    assert other.sweep != first.sweep
    assert (
        f"this is a new sweep, {other.sweep}: the config is not that of the earlier ones" in sweeps.reporter.lines[-13]
    )


def test_keys_without_effect_on_a_trial_do_not_begin_a_new_sweep(sweeps: Sweeps, formula: Formula) -> None:
    first = sweeps.run()
    formula.trained.clear()
    keys = ["compute.threads=1", "evaluation.gates={accuracy: 0.9}", "compute.cache_dir=elsewhere"]
    assert sweeps.run(overrides=keys).sweep == first.sweep
    assert formula.trained == []


def test_other_images_end_the_sweep(sweeps: Sweeps, formula: Formula) -> None:
    sweeps.run()
    formula.fingerprint = "2"
    with pytest.raises(DataError, match="the images have changed since the first trial"):
        sweeps.run(overrides=["sweep.trials=13"])
    assert len(sweeps.run(overrides=["sweep.trials=13"], sweep_id="new").trials) == 13
    formula.fingerprint = "1"  # the earlier images are back
    formula.trained.clear()
    assert sweeps.run(overrides=["sweep.trials=13"]).counts()["completed"] >= 1
    assert {run.rpartition("-")[2] for run, _ in formula.trained} == {"012"}


def test_a_process_that_ended_is_not_waited_for_if_the_end_of_its_trial_was_lost(
    sweeps: Sweeps, formula: Formula
) -> None:
    first = sweeps.run()
    journal = first.folder / "journal.log"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:-1]))  # a copy that was made too early
    again = sweeps.run()
    assert [row.state for row in again.trials] == [row.state for row in first.trials]
    assert [row.value for row in again.trials] == [row.value for row in first.trials]
    assert not any("another process" in line for line in sweeps.reporter.lines)


def test_failures_that_are_not_the_values_fault_are_tried_again(sweeps: Sweeps, formula: Formula) -> None:
    lacks = TrialRow(1, {}, "failed", reason="no weights", code=7)
    diverged = TrialRow(2, {}, "failed", reason="diverged", code=1)
    formula.failures = {1: lacks, 2: diverged}
    first = sweeps.run()
    assert [row.state for row in first.trials[:3]] == ["completed", "failed", "failed"]
    assert first.trials[1].reason == "no weights"
    assert len(first.trials) == 12
    formula.failures = {}
    again = sweeps.run()
    assert [row.state for row in again.trials[:3]] == ["completed", "completed", "failed"]


def test_an_interrupted_trial_is_taken_up_first(sweeps: Sweeps, formula: Formula) -> None:
    formula.kill_at = 10
    with pytest.raises(Killed):
        sweeps.run()
    formula.kill_at = None
    before = list(formula.trained)
    formula.trained.clear()
    sweeps.run(SPACE)
    assert formula.trained[0][0] == before[-1][0]
    assert formula.trained[0][1] == before[-1][1] + 1


def test_a_run_that_was_ended_before_the_kill_keeps_its_record(sweeps: Sweeps, formula: Formula) -> None:
    whole = sweeps.run(overrides=["sweep.pruner=successive_halving"], sweep_id="whole")
    pruned = next(row for row in whole.trials if row.state == "pruned")

    def ends(row: TrialRow) -> None:
        """End the process after the run says that it was ended, and before the study does."""
        if row.state == "pruned" and row.run is not None:
            record = row.run / "run.json"
            ended = {"status": "failed", "pruned": {}, "finished": "then"}
            record.write_text(json.dumps(json.loads(record.read_text()) | ended))
            raise Killed

    formula.before_done = ends
    with pytest.raises(Killed):
        sweeps.run(overrides=["sweep.pruner=successive_halving"], sweep_id="killed")
    formula.before_done = lambda _: None
    result = sweeps.run(overrides=["sweep.pruner=successive_halving"], sweep_id="killed")
    row = result.trials[pruned.number]
    assert row.state == "pruned"
    assert row.run
    assert json.loads((row.run / "run.json").read_text())["finished"] == "then"


def test_a_config_that_is_edited_meanwhile_changes_no_trial(sweeps: Sweeps, monkeypatch: pytest.MonkeyPatch) -> None:
    batch_sizes = []

    def train(source: TrialSource, jobs: int, reporter: Reporter) -> None:
        while (spec := source.next()) is not None:
            request = TrialSpec.from_json(json.loads(json.dumps(spec.as_json()))).request
            assert request.config is not None
            batch_sizes.append(load(request.config, request.overrides, request.document).config.data.batch_size)
            source.done(TrialRow(spec.number, spec.values, "failed", reason="not trained", code=3))
            sweeps.config(SPACE, START.replace("images}", "images, batch_size: 8}"))

    monkeypatch.setattr(recipe, "train_trials", train)
    with pytest.raises(ConfigError):
        sweeps.run(overrides=["sweep.trials=3"])
    assert batch_sizes == [32] * 3


@pytest.mark.parametrize("step", ["open_study", "train_trials", "choose_winner"])
def test_a_stop_at_any_moment_names_the_command_that_goes_on(
    step: str, sweeps: Sweeps, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise Interrupted(15)

    monkeypatch.setattr(recipe, step, stop)
    with pytest.raises(Interrupted) as stopped:
        sweeps.run(jobs=2)
    config, runs = sweeps.folder / "flowers.yaml", sweeps.folder / "runs"
    assert stopped.value.hint == f"transfercli sweep {config} --jobs 2 --runs {runs}"
    assert "stopped" in stopped.value.message
