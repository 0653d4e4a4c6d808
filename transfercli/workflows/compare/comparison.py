"""Comparisons of runs on the same images: the request, and the result of each run against the first."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transfercli.workflows.stored_run import StoredRun

if TYPE_CHECKING:
    from transfercli.evaluation.predictions import Predictions
    from transfercli.evaluation.statistics.paired import Comparison


@dataclass(frozen=True)
class CompareRequest:
    """Options of `runs compare`.

    names: runs as typed; the others are compared with the first. metric: the one that decides. report: path of a page
    with the images that only one of two runs predicts right, or None.
    """

    names: tuple[str, ...]
    runs: Path
    split: str = "test"
    metric: str = "accuracy"
    confidence: float = 0.95
    report: Path | None = None


@dataclass(frozen=True)
class PairComparison:
    """A run compared with the champion.

    before, after: predictions of champion and challenger for the same images, in the same order. config, seconds:
    differences of the two. only_known: classes that only one of them has, {"champion": […], "challenger": […]}.
    left_out: number of other images, which one of the two or an ancestor learnt from.
    """

    champion: StoredRun
    challenger: StoredRun
    before: Predictions
    after: Predictions
    comparison: Comparison
    config: list[dict[str, Any]]
    seconds: dict[str, dict[str, float | None]]
    only_known: dict[str, list[str]]
    left_out: int = 0

    def as_json(self) -> dict[str, Any]:
        return {
            "champion": str(self.champion.path),
            "challenger": str(self.challenger.path),
            **self.comparison.as_json(),
            "config": self.config,
            "seconds": self.seconds,
            "only_known": self.only_known,
            "left_out": self.left_out,
        }


@dataclass(frozen=True)
class CompareResult:
    """The result of `runs compare`.

    Attributes:
        runs: run folders; the others are compared with the first.
        comparisons: one for each run except the first.
        report: the path of the page, or None.
    """

    split: str
    runs: tuple[Path, ...]
    comparisons: tuple[PairComparison, ...]
    report: Path | None = None

    def as_json(self) -> dict[str, Any]:
        return {
            "split": self.split,
            "runs": [str(run) for run in self.runs],
            "comparisons": [comparison.as_json() for comparison in self.comparisons],
            "report": None if self.report is None else str(self.report),
        }
