"""Workflow of `runs show`: reads the files of a run; no model is loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from transfercli.errors import ArtefactError, TransferError
from transfercli.io.file_sizes import regular_files
from transfercli.reporting import Reporter
from transfercli.runs.folder import RunFolder
from transfercli.runs.untrusted import is_number
from transfercli.workflows.lineage import links
from transfercli.workflows.runs.rows import VAL_MAP, RunRow, evaluation_metrics, is_evaluation, links_of, row_of
from transfercli.workflows.stored_run import StoredRun

CURVES = ("loss", "val_loss", "accuracy", "val_accuracy")


@dataclass(frozen=True)
class Generation:
    """Run in a lineage.

    Attributes:
        run: EXPERIMENT/RUN_ID.
        status: status of its record, gone (the folder is missing) or damaged.
        weights: initial weights as in its config: `imagenet`, `none`, {"run": …}, {"path": …} or {"hub": …}.
        licence: of a repository's weights, as its model card had it when the run started; None for other weights.
        depth: number of steps from the run; the members of a merged run have the same.
    """

    run: str
    status: str
    workflow: str | None = None
    base: str | None = None
    weights: Any = None
    licence: str | None = None
    depth: int = 0


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
        curves: value per epoch of each of `CURVES`, and of val_map with several labels per image; None if a line has no
            number.
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


def show_run(text: str, runs: Path, reporter: Reporter) -> RunDetails:
    """Return the status, metrics, curves, evaluations, lineage and files of a run.

    Raises `ArtefactError` if the run is missing or a file that is read is damaged.
    """
    from transfercli.training import history

    stored = StoredRun.find(text, runs, reporter)
    run, record = stored.folder, stored.record
    lines = history.read(run.metrics)
    return RunDetails(
        row=row_of(run, links_of(run.path.parent)),
        command=record.command,
        failure=record.failure,
        best_epoch=record.best_epoch,
        metrics=record.metrics,
        seconds=record.seconds,
        curves={name: [_number(line.get(name)) for line in lines] for name in _curves(lines)},
        evaluations={folder.name: evaluation_metrics(folder) for folder in _evaluations(run)},
        lineage=lineage(stored),
        files=tuple(StoredFile(file.relative_to(run.path).as_posix(), size) for file, size in regular_files(run.path)),
        adaptation=record.adaptation,
        cross_validated=record.cross_validated,
    )


def _curves(lines: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    return (*CURVES, *(key for key in (VAL_MAP, "val_mae") if any(key in line for line in lines)))


def lineage(run: StoredRun) -> tuple[Generation, ...]:
    """Return the run and its ancestors, back to the first or to one that is missing or damaged."""
    generations, depths = [_generation(run.label, run)], {run.label: 0}
    with suppress(ArtefactError):
        for child, name, parent in links(run):
            depths[name] = depths[parent.label if parent else name] = depths[child.label] + 1
            generations.append(_generation(name, parent, depths[name]))
    return tuple(generations)


def _generation(name: str, run: StoredRun | None, depth: int = 0) -> Generation:
    if run is None:
        return Generation(name, "gone", depth=depth)
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
            depth,
        )
    return Generation(name, "damaged", depth=depth)


def _evaluations(run: RunFolder) -> list[Path]:
    if not run.evaluations.is_dir():
        return []
    return [folder for folder in sorted(run.evaluations.iterdir()) if is_evaluation(folder)]


def _number(value: Any) -> float | None:
    return value if is_number(value) else None
