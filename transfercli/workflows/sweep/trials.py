"""Trials of a sweep: each is an ordinary run of the experiment."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from transfercli.reporting import Reporter
from transfercli.workflows.sweep.result import TrialRow
from transfercli.workflows.sweep.space import overrides_of
from transfercli.workflows.train.job import TrainRequest, resolve_job
from transfercli.workflows.train.results import TrainResult
from transfercli.workflows.train.train import train_job


@dataclass(frozen=True)
class TrialSpec:
    """Training of one trial.

    config, overrides, runs: of the sweep's command. sweep_id, number: name the run. values: of the space's keys.
    """

    config: Path
    overrides: tuple[str, ...]
    runs: Path
    sweep_id: str
    number: int
    values: dict[str, Any]

    @property
    def run_id(self) -> str:
        return f"{self.sweep_id}-{self.number:03d}"

    @property
    def request(self) -> TrainRequest:
        """The same training as a command: `finetune CONFIG --set … --run-id …`."""
        overrides = (*self.overrides, *overrides_of(self.values))
        return TrainRequest("finetune", self.config, self.runs, overrides, self.run_id)


class TrialSource(Protocol):
    """Side of the search: gives the next trial, and takes what becomes of it. Called from one process only."""

    def next(self) -> TrialSpec | None:
        """Return the next trial to train, or to go on with; None if no further trial begins."""

    def report(self, number: int, epoch: int, value: float) -> bool:
        """Take the metric of an epoch of a running trial; return True if the trial ends here, as it looks bad."""

    def done(self, row: TrialRow) -> None:
        """Take a trial that is completed, pruned, failed or interrupted."""


def run_trial(spec: TrialSpec, reporter: Reporter) -> TrainResult:
    """Train a trial's run, or go on with it; the caller holds the lock of the experiment."""
    job = resolve_job(spec.request, reporter)
    job = replace(job, marks={"sweep": {"id": spec.sweep_id, "trial": spec.number}})
    result = train_job(job, reporter)
    assert isinstance(result, TrainResult), "no dry run was asked for"
    return result
