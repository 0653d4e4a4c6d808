"""Rows of `runs list`: the state and results of a run, from its record and its evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from transfercli.errors import ArtefactError
from transfercli.evaluation.metric_tables import METRIC_TABLES
from transfercli.io.bounded import read_json
from transfercli.runs.champions import champion_of
from transfercli.runs.folder import RunFolder
from transfercli.runs.listing import latest_completed, present_status, processes_of, resume_command
from transfercli.runs.record import RunRecord
from transfercli.runs.untrusted import numbers_of

# Keys of a record that mark a run as part of a larger piece of work.
VAL_MAP = "val_map"  # in the metrics of a run with several labels per image
MARKS = ("sweep", "folds", "seeds", "merged", "continues")


@dataclass(frozen=True)
class RunRow:
    """Row of `runs list`.

    Attributes:
        run: the run folder.
        status: as by `present_status`; if it is damaged, all values of its record are None.
        links: names after `EXPERIMENT@` that mean the run: latest, champion.
        val_accuracy, val_map: of the best epoch; val_map is None unless an image may have several labels.
        total_seconds: duration of the command.
        test_accuracy, test_map: None if the run was not evaluated; test_map also as val_map is.
        parent: label of the run that the weights came from, or None.
        resume: command line that goes on with the run if it is interrupted, or None.
        processes: number of processes that train the run together.
        failure: name of the error that ended the run, or None.
        metrics: of the best epoch, as recorded; empty if there are none yet.
        marks: keys of `MARKS` that the record has: the sweep, the folds, … that the run is a part of.
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
    processes: int = 1
    failure: str | None = None
    test_map: float | None = None
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    marks: Mapping[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def several(self) -> bool:
        """True if an image may have several labels."""
        return VAL_MAP in self.metrics

    @property
    def going_on(self) -> str | None:
        """Command that goes on with an interrupted run, and the processes that need it; None for other runs."""
        if self.resume is None or self.processes == 1:
            return self.resume
        return f"{self.resume} (in each of {self.processes} processes)"

    @property
    def val_map(self) -> float | None:
        return self.metrics.get(VAL_MAP)

    @property
    def headline(self) -> str:
        """The metric to name if there is room for one: that of the task whose metrics the run has."""
        names = [table.headline for table in METRIC_TABLES.values()]
        return next((name for name in reversed(names) if f"val_{name}" in self.metrics), names[0])

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
            "failure": self.failure,
            "val_map": self.val_map,
            "test_map": self.test_map,
            "metrics": dict(self.metrics) or None,
            **{mark: self.marks.get(mark) for mark in MARKS},
        }


def links_of(experiment: Path) -> dict[str, str]:
    """Return the names that mean a run of the experiment after `EXPERIMENT@`, with the id of the run."""
    named = {"latest": latest_completed(experiment), "champion": champion_of(experiment)}
    return {name: run.run_id for name, run in named.items() if run is not None}


def row_of(run: RunFolder, links: Mapping[str, str]) -> RunRow:
    """Return the row of a run. links: names that mean a run of its experiment, with the id of the run."""
    names = tuple(name for name, run_id in links.items() if run_id == run.run_id)
    row = RunRow(run.path, run.experiment, run.run_id, "damaged", names)
    with suppress(ArtefactError):
        record, folder, status = RunRecord.read(run), run.evaluation("test"), present_status(run)
        test = evaluation_metrics(folder) if is_evaluation(folder) else {}
        row = replace(
            row,
            status=status,
            created=record.created,
            workflow=record.workflow,
            val_accuracy=record.metrics.get("val_accuracy"),
            total_seconds=record.seconds.get("total"),
            test_accuracy=test.get("accuracy"),
            test_map=test.get("map"),
            parent=record.parent,
            resume=resume_command(run, run.path.parent.parent) if status == "interrupted" else None,
            processes=processes_of(record.content),
            failure=record.failure,
            metrics=record.metrics,
            marks={mark: value for mark in MARKS if isinstance(value := record.content.get(mark), dict)},
        )
    return row


def evaluation_metrics(folder: Path) -> dict[str, float | None]:
    """Return the honest metrics of an evaluation. Raises `ArtefactError` if its metrics.json is damaged."""
    file = folder / "metrics.json"
    content = read_json(file)
    honest = isinstance(content, dict) and "honest" in content  # an evaluation by an earlier version has none
    return {"accuracy": None} | numbers_of(content, "honest" if honest else "metrics", file)


def is_evaluation(folder: Path) -> bool:
    return (folder / "metrics.json").is_file()
