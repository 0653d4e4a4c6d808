"""The latest completed run of an experiment, and the status of runs whose process was killed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.listener import Listener
from tests.runs.records import COMPLETED
from transfercli.errors import ArtefactError
from transfercli.runs.folder import RunFolder
from transfercli.runs.listing import (
    latest_completed,
    next_completion,
    present_status,
    resume_command,
    update_latest_link,
)
from transfercli.runs.lock import experiment_lock, held_since
from transfercli.runs.lookup import find_run, find_run_and_warn, find_run_to_resume

DAMAGES = ("", "{", "[]", "null", '{"status": 1', "\xff")


def record(run: Path, **facts: object) -> RunFolder:
    run.mkdir(parents=True, exist_ok=True)
    (run / "run.json").write_text(json.dumps(COMPLETED | facts))
    return RunFolder(run)


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    return tmp_path / "runs" / "flowers"


@pytest.mark.parametrize("content", DAMAGES)
def test_a_damaged_record_beside_it_hides_no_run(experiment: Path, content: str) -> None:
    whole = record(experiment / "20260102-000000-aaaaaa")
    damaged = record(experiment / "20200101-000000-aaaaaa")
    damaged.record.write_text(content, "latin-1")
    update_latest_link(whole)
    listener = Listener()
    names = ("flowers", "flowers@latest", "flowers/latest", str(experiment / "latest"))
    assert {find_run_and_warn(name, experiment.parent, listener).run_id for name in names} == {whole.run_id}
    assert find_run_to_resume("flowers", experiment.parent).run_id == whole.run_id
    assert listener.warnings == []


def test_a_damaged_record_of_the_latest_run_is_warned_of(experiment: Path) -> None:
    whole, damaged = record(experiment / "a", completion=1), record(experiment / "b", completion=2)
    update_latest_link(damaged)
    damaged.record.write_text("")
    listener = Listener()
    assert find_run_and_warn("flowers", experiment.parent, listener).run_id == whole.run_id
    (warning,) = listener.warnings
    assert "flowers/b" in warning


def test_a_record_without_results_is_damaged_and_not_the_latest(experiment: Path) -> None:
    whole, damaged = record(experiment / "a", completion=1), record(experiment / "b", completion=2, metrics=None)
    assert (latest_completed(experiment), present_status(damaged)) == (whole, "damaged")
    assert next_completion(experiment) == 3


def test_latest_is_what_was_completed_last_also_if_it_was_created_first_or_the_clock_went_back(
    experiment: Path,
) -> None:
    future = record(experiment / "20990101-000000-aaaaaa", created="2099-01-01", finished="2099-01-01", completion=1)
    resumed = record(experiment / "20260101-000000-aaaaaa", created="2026-01-01", finished="2026-03-01")
    resumed = record(resumed.path, created="2026-01-01", completion=next_completion(experiment))
    update_latest_link(resumed)
    for name in ("flowers", "flowers@latest", str(experiment / "latest")):
        assert find_run(name, experiment.parent).run_id == resumed.run_id
    assert json.loads(resumed.record.read_text())["completion"] == 2
    assert future.run_id > resumed.run_id


def test_without_recorded_order_a_valid_link_decides_then_the_time_of_the_end(experiment: Path) -> None:
    first_created = record(experiment / "a", created="2026-01-01", finished="2026-01-05")
    record(experiment / "b", created="2026-01-02", finished="2026-01-03")
    assert latest_completed(experiment) == first_created
    (experiment / "latest").symlink_to("b")
    assert find_run("flowers", experiment.parent).run_id == "b"


@pytest.mark.parametrize("target", ["gone", "../other/a", "/tmp", "."])
def test_a_link_that_leads_elsewhere_is_not_followed(experiment: Path, target: str) -> None:
    record(experiment.parent / "other" / "a")
    whole = record(experiment / "a")
    (experiment / "latest").symlink_to(target)
    for name in ("flowers", "flowers@latest", str(experiment / "latest")):
        assert os.path.realpath(find_run(name, experiment.parent).path) == os.path.realpath(whole.path)


def test_a_killed_run_is_interrupted_and_a_running_one_is_not(experiment: Path) -> None:
    killed = record(experiment / "a", status="running")
    assert present_status(killed) == "interrupted"
    with experiment_lock(experiment):
        assert held_since(experiment)
        assert present_status(killed) == "interrupted"  # another run holds the lock
        assert present_status(record(experiment / "b", status="running")) == "running"
    assert held_since(experiment) is None


def test_an_experiment_with_an_interrupted_run_only_names_the_line_that_goes_on(experiment: Path) -> None:
    record(experiment / "one", status="running", workflow="pretrain")
    with pytest.raises(ArtefactError, match=r"one \(interrupted\)") as caught:
        find_run("flowers", experiment.parent)
    assert f"transfercli pretrain --runs {experiment.parent} --resume flowers/one" in str(caught.value.hint)
    assert "runs show flowers/one" in str(caught.value.hint)


@pytest.mark.parametrize(
    "status, command, expected",
    [
        ("running", "transfercli sweep 'my flowers.yaml' --jobs 2", "transfercli sweep 'my flowers.yaml' --jobs 2"),
        ("interrupted", "transfercli sweep a.yaml; rm -r ~", "transfercli sweep 'a.yaml;' rm -r '~'"),
        ("interrupted", "rm -r x", "transfercli finetune --runs runs --resume flowers/one"),
        ("interrupted", "transfercli 'x", "transfercli finetune --runs runs --resume flowers/one"),
        ("interrupted", None, "transfercli finetune --runs runs --resume flowers/one"),
        ("failed", "transfercli sweep a.yaml", "transfercli finetune --runs runs --resume flowers/one"),
    ],
)
def test_a_part_of_a_sweep_that_was_stopped_goes_on_with_the_command_of_the_sweep(
    status: str, command: str | None, expected: str, experiment: Path
) -> None:
    run = record(experiment / "one", status=status, workflow="finetune", going_on=command)
    assert resume_command(run, Path("runs")) == expected


@pytest.mark.parametrize(
    "command, expected",
    [
        ("transfercli pretrain a.yaml", "transfercli pretrain a.yaml --runs runs --run-id one"),
        (
            "transfercli finetune a.yaml --set seed=2 --run-id one --runs …/x",
            "transfercli finetune a.yaml --set seed=2 --runs runs --run-id one",
        ),
        ("rm -r x", "transfercli finetune --runs runs --resume flowers/one"),
        (None, "transfercli finetune --runs runs --resume flowers/one"),
    ],
)
def test_a_run_of_several_processes_goes_on_with_the_command_that_each_of_them_was_started_by(
    command: str | None, expected: str, experiment: Path
) -> None:
    facts = {"status": "interrupted", "workflow": "finetune", "command": command}
    run = record(experiment / "one", **facts, distribution={"processes": 2, "devices": 2})
    assert resume_command(run, Path("runs")) == expected


@pytest.mark.parametrize("distribution", [{"processes": 1, "devices": 2}, {"processes": "2"}, [2], None])
def test_a_run_of_one_process_goes_on_by_its_name(distribution: object, experiment: Path) -> None:
    command = "transfercli finetune a.yaml"
    run = record(experiment / "one", status="interrupted", command=command, distribution=distribution)
    assert resume_command(run, Path("runs")) == "transfercli finetune --runs runs --resume flowers/one"
