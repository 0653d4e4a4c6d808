"""Results of a series: its runs, the mean and spread of their metrics, and the evaluation out of fold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transfercli.config.types import Task
from transfercli.errors import TransferError
from transfercli.workflows.series.members import Kind, Member
from transfercli.workflows.series.spread import Spread
from transfercli.workflows.train.results import CostEstimate, TrainResult, total_cache_counts

if TYPE_CHECKING:
    from transfercli.evaluation.result import Evaluation


@dataclass(frozen=True)
class MemberResult:
    """A run of a series.

    Attributes:
        result: of its training; None if it failed.
        metrics: of its held-out images, calibrated; {} if it failed.
        failure: why it failed, or None.
    """

    member: Member
    run: Path
    result: TrainResult | None = None
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    failure: TransferError | None = None

    def as_json(self) -> dict[str, Any]:
        result, failure = self.result, self.failure
        return {
            "run": str(self.run),
            **self.member.facts,
            "status": result.status if result else "failed",
            "best_epoch": result.best_epoch if result else None,
            "metrics": dict(self.metrics),
            "seconds": result.seconds if result else {},
            "cache": result.cache if result else {},
            "failure": failure and {"kind": failure.kind, "message": failure.message},
        }


@dataclass(frozen=True)
class SeriesResult:
    """Runs of a series that was trained.

    Attributes:
        name: EXPERIMENT/ID.
        folder: of the series, with its files.
        metrics: mean and spread over the completed runs of each metric.
        out_of_fold: evaluation of the predictions out of fold; None for seeds, or if no fold is complete.
        task: of the runs.
        seconds: time of the command.
        error: JSON object of the error that the command ends with; None if all runs are complete.
    """

    kind: Kind
    name: str
    folder: Path
    runs: tuple[MemberResult, ...]
    metrics: Mapping[str, Spread]
    out_of_fold: Evaluation | None = None
    task: Task = "classify"
    seconds: float = 0.0
    error: Mapping[str, Any] | None = None

    @property
    def failure(self) -> TransferError | None:
        """The error of the first run that failed, or None."""
        return next((run.failure for run in self.runs if run.failure), None)

    @property
    def completed(self) -> list[MemberResult]:
        return [run for run in self.runs if run.result]

    @property
    def report(self) -> Path | None:
        """The page of the predictions out of fold, or None."""
        return self.folder / "report.html" if self.out_of_fold else None

    def as_json(self) -> dict[str, Any]:
        return {
            "series": self.name,
            "kind": self.kind,
            "folder": str(self.folder),
            "status": "failed" if self.failure else "completed",
            "runs": [run.as_json() for run in self.runs],
            "metrics": {name: spread.as_json() for name, spread in self.metrics.items()},
            "out_of_fold": self.out_of_fold and self.out_of_fold.as_result(),
            "report": self.report and str(self.report),
            "cache": total_cache_counts(run.result.cache for run in self.completed if run.result),
            "seconds": {"total": self.seconds},
            **({"error": dict(self.error)} if self.error else {}),
        }

    def as_stored(self) -> dict[str, Any]:
        """Return the content of the series's file: its JSON without paths, and of the evaluation what is compared."""
        content = self.as_json()
        for key in ("series", "folder", "report"):
            del content[key]
        for run in content["runs"]:
            del run["run"]
        if evaluation := content["out_of_fold"]:
            content["out_of_fold"] = {key: evaluation[key] for key in ("examples", "groups", "metrics", "intervals")}
        return content


@dataclass(frozen=True)
class SeriesEstimate:
    """The result of `--dry-run`: `run` is the cost of one run; features are computed once for all."""

    kind: Kind
    runs: int
    run: CostEstimate

    @property
    def total(self) -> CostEstimate:
        """The cost of all runs."""
        phases = tuple(replace(phase, train=self.runs * phase.train) for phase in self.run.phases)
        return replace(self.run, phases=phases, run_bytes=self.runs * self.run.run_bytes)

    def as_json(self) -> dict[str, Any]:
        return {**self.total.as_json(), "kind": self.kind, "runs": self.runs}
