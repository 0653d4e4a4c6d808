"""Trials of a sweep: each is an ordinary run of the experiment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from transfercli.config.loader import load
from transfercli.config.locations import Document
from transfercli.errors import DataError
from transfercli.reporting import Reporter
from transfercli.runs.folder import RunFolder
from transfercli.runs.listing import GOING_ON
from transfercli.workflows.stored_run import StoredRun
from transfercli.workflows.sweep.result import TrialRow
from transfercli.workflows.sweep.search.space import overrides_of
from transfercli.workflows.train.job import Job, TrainRequest, resolve_job


class OtherImagesError(DataError):
    """Raised if the images of a trial are not those of the trials before it; every later trial would have them, too."""

    def __init__(self, run: RunFolder) -> None:
        super().__init__(
            f"the images have changed since the first trial of the sweep: those of {run.label} are others, so that it"
            " cannot be compared with the trials before",
            "begin a new sweep on the new images with --run-id NEW, or put the earlier images back",
        )


@dataclass(frozen=True)
class TrialSpec:
    """Training of one trial.

    Attributes:
        config, overrides, runs: of the sweep's command.
        sweep_id, number: name the run.
        values: of the space's keys.
        metric: of the search, a key of the lines of metrics.jsonl.
        threads: of the training, if the config sets no number and the run is new; None: all cores.
        folds: number of folds that judge the trial; None: its validation images do.
        images: fingerprint of the images that it must learn from; None: of any.
        document: content of the config when the sweep began (`Document.as_json`); None: the file is read.
        going_on: command that goes on with the sweep.
        command: the same without absolute paths, for files.
    """

    config: Path
    overrides: tuple[str, ...]
    runs: Path
    sweep_id: str
    number: int
    values: dict[str, Any]
    metric: str = "val_accuracy"
    threads: int | None = None
    folds: int | None = None
    images: str | None = None
    document: dict[str, Any] | None = field(default=None, repr=False)
    going_on: str = ""
    command: str = ""

    @property
    def run_id(self) -> str:
        return f"{self.sweep_id}-{self.number:03d}"

    @property
    def name(self) -> str:
        """Name of the trial in messages."""
        return f"trial {self.number}"

    @property
    def request(self) -> TrainRequest:
        """The same training as a command: `finetune CONFIG --set … --run-id …`, without the threads."""
        overrides = (*self.overrides, *overrides_of(self.values))
        document = Document.from_json(self.document) if self.document else None
        return TrainRequest("finetune", self.config, self.runs, overrides, self.run_id, document=document)

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"config": str(self.config), "runs": str(self.runs)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> TrialSpec:
        """Return the trial that `as_json` wrote."""
        paths = {"config": Path(content["config"]), "runs": Path(content["runs"])}
        return cls(**{**content, **paths, "overrides": tuple(content["overrides"])})


class TrialSource(Protocol):
    """Side of the search: gives the next trial, and takes what becomes of it. Called from one thread only."""

    @property
    def progress(self) -> tuple[int, int]:
        """Number of trials that are done, and of all."""

    def next(self) -> TrialSpec | None:
        """Return the next trial to train, or to go on with.

        None if no further trial begins now; after a trial is done, it is asked again.
        """

    def report(self, number: int, epoch: int, value: float) -> bool:
        """Take the metric of an epoch of a running trial; return True if the trial ends here, as it looks bad."""

    def done(self, row: TrialRow) -> None:
        """Take a trial that is completed, pruned, failed or interrupted; running if another process trains it."""


def trial_job(spec: TrialSpec, reporter: Reporter) -> Job:
    """Return the job of a trial: a new run, or the one of an earlier start. Raises as `resolve_job`."""
    job = resolve_job(trial_request(spec), reporter)
    return replace(job, marks=marks_of(spec), going_on=spec.going_on, becomes_latest=False)


def marks_of(spec: TrialSpec) -> dict[str, Any]:
    """Return the keys by which the records of a trial's runs name it, and the command of the sweep."""
    return {"sweep": {"id": spec.sweep_id, "trial": spec.number}, **({GOING_ON: spec.command} if spec.command else {})}


def trial_request(spec: TrialSpec) -> TrainRequest:
    """Return the request of a trial with its threads: results depend on them to the bit, so a run keeps its own."""
    request = spec.request
    config = load(spec.config, request.overrides, request.document).config
    if config.compute.threads is not None:
        return request
    experiment = spec.runs / config.name
    names = (spec.run_id, f"{spec.run_id}-fold1")
    begun = next((run for name in names if (run := RunFolder(experiment / name)).record.exists()), None)
    threads = StoredRun(begun).config.compute.threads if begun else spec.threads
    return replace(request, overrides=(*request.overrides, f"compute.threads={threads}")) if threads else request
