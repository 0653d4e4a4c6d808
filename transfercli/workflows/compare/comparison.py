"""A comparison of two runs on the same images: the request, and how one run compares with the first."""

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
    """names: runs as typed, the first is what the others are compared with; metric: the one that decides.

    report: where a page with the images that tell them apart goes, or None.
    """

    names: tuple[str, ...]
    runs: Path
    split: str = "test"
    metric: str = "accuracy"
    confidence: float = 0.95
    report: Path | None = None


@dataclass(frozen=True)
class Held:
    """A run held against the champion.

    before, after: what either says of the same images, in the same order; config, seconds: how the two differ.
    only_known: the classes that but one of the two knows, {"champion": […], "challenger": […]}.
    """

    champion: StoredRun
    challenger: StoredRun
    before: Predictions
    after: Predictions
    compared: Comparison
    config: list[dict[str, Any]]
    seconds: dict[str, dict[str, float | None]]
    only_known: dict[str, list[str]]

    def as_json(self) -> dict[str, Any]:
        return {
            "champion": str(self.champion.path),
            "challenger": str(self.challenger.path),
            **self.compared.as_json(),
            "config": self.config,
            "seconds": self.seconds,
            "only_known": self.only_known,
        }


@dataclass(frozen=True)
class CompareResult:
    """The result of `runs compare`.

    Attributes:
        runs: run folders; the first is the one that each of the others is compared with.
        comparisons: one for each run but the first.
        report: the path of the page, or None.
    """

    split: str
    runs: tuple[Path, ...]
    comparisons: tuple[Held, ...]
    report: Path | None = None

    def as_json(self) -> dict[str, Any]:
        return {
            "split": self.split,
            "runs": [str(run) for run in self.runs],
            "comparisons": [held.as_json() for held in self.comparisons],
            "report": None if self.report is None else str(self.report),
        }
