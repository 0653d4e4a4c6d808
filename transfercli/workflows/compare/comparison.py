"""Comparisons of runs on the same images: the request, and the result of each run against the first."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transfercli.workflows.stored_run import StoredRun

if TYPE_CHECKING:
    from transfercli.evaluation.scoring import Predicted
    from transfercli.evaluation.statistics.multiple_comparisons import Adjusted
    from transfercli.evaluation.statistics.paired import Comparison, Outcome


@dataclass(frozen=True)
class CompareRequest:
    """Options of `runs compare`.

    names: runs and patterns as typed; the others are compared with the first. metric: the one that decides; None: that
    of the task, accuracy or map. report: path of a page with the images that only one of two runs predicts right, or
    None. details: print each comparison.
    """

    names: tuple[str, ...]
    runs: Path
    split: str = "test"
    metric: str | None = None
    confidence: float = 0.95
    report: Path | None = None
    details: bool = False

    @property
    def decisive(self) -> str:
        """The metric that decides, once it is known."""
        assert self.metric is not None
        return self.metric


@dataclass(frozen=True)
class PairComparison:
    """A run compared with the champion.

    before, after: predictions of champion and challenger for the same images, in the same order. config, seconds:
    differences of the two. only_known: classes that only one of them has, {"champion": […], "challenger": […]}.
    left_out: number of other images, which one of the two or an ancestor learnt from. adjusted: the same, corrected for
    the number of comparisons in the result.
    """

    champion: StoredRun
    challenger: StoredRun
    before: Predicted
    after: Predicted
    comparison: Comparison
    config: list[dict[str, Any]]
    seconds: dict[str, dict[str, float | None]]
    only_known: dict[str, list[str]]
    left_out: int = 0
    adjusted: Adjusted | None = None

    @property
    def outcome(self) -> Outcome:
        """better, worse or no difference, corrected for the number of comparisons."""
        return self.adjusted.outcome if self.adjusted else self.comparison.outcome(self.comparison.metric)

    def as_json(self) -> dict[str, Any]:
        content = self.comparison.as_json()
        if self.adjusted:
            interval = self.adjusted.interval
            content |= {
                "verdict": self.outcome,
                "p_value": self.adjusted.p_value,
                "p_holm": self.adjusted.p_holm,
                "simultaneous_interval": interval and list(interval),
                "mcnemar": content["mcnemar"] | {"p_holm": self.adjusted.mcnemar_holm},
            }
        return {
            "champion": str(self.champion.path),
            "challenger": str(self.challenger.path),
            **content,
            "config": self.config,
            "seconds": self.seconds,
            "only_known": self.only_known,
            "left_out": self.left_out,
        }


@dataclass(frozen=True)
class ComparedRun:
    """A run of a comparison. name: by the keys that differ, such as `learning_rate 0.003`; "" if none does."""

    path: Path
    name: str
    is_champion: bool = False


@dataclass(frozen=True)
class CompareResult:
    """The result of `runs compare`.

    Attributes:
        compared: the runs; the others are compared with the first.
        comparisons: one for each run except the first.
        keys: short name of each config key that differs between the runs.
        report: the path of the page, or None.
        details: print each comparison, too, if there are several.
    """

    split: str
    compared: tuple[ComparedRun, ...]
    comparisons: tuple[PairComparison, ...]
    keys: dict[str, str] = field(default_factory=dict)
    report: Path | None = None
    details: bool = False

    @property
    def runs(self) -> tuple[Path, ...]:
        """The run folders."""
        return tuple(run.path for run in self.compared)

    def as_json(self) -> dict[str, Any]:
        return {
            "split": self.split,
            "runs": [str(run) for run in self.runs],
            "names": [run.name for run in self.compared],
            "keys": [{"key": key, "name": name} for key, name in self.keys.items()],
            "correction": "holm" if len(self.comparisons) > 1 else None,
            "comparisons": [comparison.as_json() for comparison in self.comparisons],
            "report": None if self.report is None else str(self.report),
        }
