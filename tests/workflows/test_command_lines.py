"""Command lines that are recorded."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from transfercli.workflows.train.job import TrainRequest, resolve_job


@pytest.mark.parametrize(
    "runs, said", [("runs", ""), ("my runs", " --runs 'my runs'"), ("/srv/ann/runs", " --runs …/runs")]
)
def test_a_training_is_recorded_with_its_runs_folder_but_no_absolute_path(world, monkeypatch, runs, said) -> None:
    monkeypatch.chdir(world.folder)
    world.config("t", "digits")
    job = resolve_job(TrainRequest("finetune", Path("t.yaml"), Path(runs), ("seed=1",)))
    assert shlex.split(job.command_line) == shlex.split(f"transfercli finetune t.yaml --set seed=1{said}")
