"""Workflows of `runs list` and `runs show`: read the files of runs; no model is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from transfercli.errors import ArtefactError, TransferError
from transfercli.io.bounded import read_json
from transfercli.io.file_sizes import regular_files
from transfercli.reporting import Reporter
from transfercli.runs import decisions
from transfercli.runs.champions import champion_of
from transfercli.runs.decisions import Decision
from transfercli.runs.folder import RunFolder
from transfercli.runs.listing import all_runs, latest_completed, present_status, resume_command
from transfercli.runs.record import RunRecord
from transfercli.runs.untrusted import is_number, numbers_of
from transfercli.workflows.lineage import generations
from transfercli.workflows.stored_run import StoredRun

CURVES = ("loss", "val_loss", "accuracy", "val_accuracy")


@dataclass(frozen=True)
class RunRow:
    """Row of `runs list`.

    Attributes:
        run: the run folder.
        status: running, completed, failed, interrupted or damaged; if it is damaged, all values of its record are None.
        links: names after `EXPERIMENT@` that mean the run: latest, champion.
        val_accuracy: of the best epoch.
        total_seconds: duration of the command.
        test_accuracy: None if the run was not evaluated.
        parent: label of the run that the weights came from, or None.
        resume: command line that goes on with the run if it is interrupted, or None.
    """

    run: Path
    experiment: str
    run_id: str
    status: str
    links: tuple[str, ...]
    created: str | None = None
    workflow: str | None = None
    val_accuracy: float | None = None
    total_seconds: float | None = None
    test_accuracy: float | None = None
    parent: str | None = None
    resume: str | None = None

    def as_json(self) -> dict[str, Any]:
        return {
            "run": str(self.run),
            "experiment": self.experiment,
            "run_id": self.run_id,
            "status": self.status,
            "created": self.created,
            "workflow": self.workflow,
            "val_accuracy": self.val_accuracy,
            "total_seconds": self.total_seconds,
            "test_accuracy": self.test_accuracy,
            "links": list(self.links),
            "parent": self.parent,
            "resume": self.resume,
        }


@dataclass(frozen=True)
class RunList:
    """Result of `runs list`. decisions: last decision about the champion of each experiment that has one."""

    runs: tuple[RunRow, ...]
    decisions: dict[str, Decision]

    def as_json(self) -> dict[str, Any]:
        return {
            "runs": [row.as_json() for row in self.runs],
            "decisions": {experiment: asdict(decision) for experiment, decision in self.decisions.items()},
        }


@dataclass(frozen=True)
class Generation:
    """Run in a lineage.

    Attributes:
        run: EXPERIMENT/RUN_ID.
        status: status of its record, gone (the folder is missing) or damaged.
        weights: initial weights as in its config: `imagenet`, `none`, {"run": …}, {"path": …} or {"hub": …}.
        licence: of a repository's weights, as its model card had it when the run started; None for other weights.
    """

    run: str
    status: str
    workflow: str | None = None
    base: str | None = None
    weights: Any = None
    licence: str | None = None


@dataclass(frozen=True)
class StoredFile:
    """File of a run. path: relative to the run folder, with `/`. bytes: its size."""

    path: str
    bytes: int


@dataclass(frozen=True)
class RunDetails:
    """Result of `runs show`.

    Attributes:
        failure: name of the error that ended the run, or None.
        metrics: of the best epoch; empty if the record has none yet.
        seconds: duration of each step of the command; empty if the record has none yet.
        curves: value per epoch of each of `CURVES`; None if a line has no number.
        evaluations: metrics per folder of `evaluation/`.
        lineage: the run, its parent, and so on.
        adaptation: decision on the use of auxiliary images; None without any.
        cross_validated: as in `TrainResult`.
    """

    row: RunRow
    command: str
    failure: str | None
    best_epoch: int | None
    metrics: dict[str, float | None]
    seconds: dict[str, float | None]
    curves: dict[str, list[float | None]]
    evaluations: dict[str, dict[str, float | None]]
    lineage: tuple[Generation, ...]
    files: tuple[StoredFile, ...]
    adaptation: dict[str, Any] | None = None
    cross_validated: int | None = None

    def as_json(self) -> dict[str, Any]:
        return {
            **self.row.as_json(),
            "command": self.command,
            "failure": self.failure,
            "best_epoch": self.best_epoch,
            "metrics": self.metrics or None,
            "cross_validated": self.cross_validated,
            "seconds": self.seconds or None,
            "curves": self.curves,
            "evaluations": self.evaluations,
            "lineage": [asdict(generation) for generation in self.lineage],
            "files": [asdict(file) for file in self.files],
            "adaptation": self.adaptation,
        }


def list_runs(runs: Path, experiment: str | None = None) -> RunList:
    """List every run under `runs`, or those of one experiment. Raises `ArtefactError` if that has none."""
    folders = [run for run in all_runs(runs) if experiment in (None, run.experiment)]
    if experiment and not folders:
        existing = ", ".join(dict.fromkeys(run.experiment for run in all_runs(runs))) or "none"
        raise ArtefactError(f"no experiment {experiment!r} with runs under {runs}", f"experiments there: {existing}")
    logs = {run.experiment: decisions.read(run.path.parent) for run in folders}
    links = {run.experiment: _links(run.path.parent) for run in folders}
    rows = tuple(_row(run, links[run.experiment]) for run in folders)
    return RunList(rows, {experiment: log[-1] for experiment, log in logs.items() if log})


def show_run(text: str, runs: Path, reporter: Reporter) -> RunDetails:
    """Return the status, metrics, curves, evaluations, lineage and files of a run.

    Raises `ArtefactError` if the run is missing or a file that is read is damaged.
    """
    from transfercli.training import history

    stored = StoredRun.find(text, runs, reporter)
    run, record = stored.folder, stored.record
    lines = history.read(run.metrics)
    return RunDetails(
        row=_row(run, _links(run.path.parent)),
        command=record.command,
        failure=record.failure,
        best_epoch=record.best_epoch,
        metrics=record.metrics,
        seconds=record.seconds,
        curves={name: [_number(line.get(name)) for line in lines] for name in CURVES},
        evaluations={folder.name: _evaluation_metrics(folder) for folder in _evaluations(run)},
        lineage=lineage(stored),
        files=tuple(StoredFile(file.relative_to(run.path).as_posix(), size) for file, size in regular_files(run.path)),
        adaptation=record.adaptation,
        cross_validated=record.cross_validated,
    )


def lineage(run: StoredRun) -> tuple[Generation, ...]:
    """Return the run and its ancestors, back to the first or to one that is missing or damaged."""
    generations_of_run = [_generation(run.label, run)]
    with suppress(ArtefactError):
        generations_of_run.extend(_generation(name, parent) for name, parent in generations(run))
    return tuple(generations_of_run)


def _generation(name: str, run: StoredRun | None) -> Generation:
    if run is None:
        return Generation(name, "gone")
    with suppress(TransferError):
        model = run.config.model_dump(mode="json")["model"]
        licence = run.record.weights.get("licence")
        return Generation(
            name,
            run.status,
            run.record.workflow,
            model["base"],
            model["weights"],
            licence if isinstance(licence, str) else None,
        )
    return Generation(name, "damaged")


def _links(experiment: Path) -> dict[str, str]:
    """Return the names that mean a run of the experiment after `EXPERIMENT@`, with the id of the run."""
    named = {"latest": latest_completed(experiment), "champion": champion_of(experiment)}
    return {name: run.run_id for name, run in named.items() if run is not None}


def _row(run: RunFolder, links: Mapping[str, str]) -> RunRow:
    names = tuple(name for name, run_id in links.items() if run_id == run.run_id)
    row = RunRow(run.path, run.experiment, run.run_id, "damaged", names)
    with suppress(ArtefactError):
        record, folder, status = RunRecord.read(run), run.evaluation("test"), present_status(run)
        row = replace(
            row,
            status=status,
            created=record.created,
            workflow=record.workflow,
            val_accuracy=record.metrics.get("val_accuracy"),
            total_seconds=record.seconds.get("total"),
            test_accuracy=_evaluation_metrics(folder)["accuracy"] if _is_evaluation(folder) else None,
            parent=record.parent,
            resume=resume_command(run, run.path.parent.parent) if status == "interrupted" else None,
        )
    return row


def _evaluation_metrics(folder: Path) -> dict[str, float | None]:
    """Return the honest metrics of an evaluation. Raises `ArtefactError` if its metrics.json is damaged."""
    file = folder / "metrics.json"
    content = read_json(file)
    honest = isinstance(content, dict) and "honest" in content  # an evaluation by an earlier version has none
    return {"accuracy": None} | numbers_of(content, "honest" if honest else "metrics", file)


def _is_evaluation(folder: Path) -> bool:
    return (folder / "metrics.json").is_file()


def _evaluations(run: RunFolder) -> list[Path]:
    if not run.evaluations.is_dir():
        return []
    return [folder for folder in sorted(run.evaluations.iterdir()) if _is_evaluation(folder)]


def _number(value: Any) -> float | None:
    return value if is_number(value) else None
