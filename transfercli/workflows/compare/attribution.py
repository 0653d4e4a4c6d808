"""Attribution of the difference between two runs to changes: the request of `runs why`, and its result."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from transfercli.evaluation.metrics.registry import METRICS
from transfercli.evaluation.statistics.intervals import Interval

SHOWN_PARTS = 4  # of a headline


@dataclass(frozen=True)
class WhyRequest:
    """Arguments of `runs why`. first, second: RUN of the command line, before and after; metric: name of a metric."""

    first: str
    second: str
    runs: Path
    metric: str = "accuracy"


@dataclass(frozen=True)
class Part:
    """Part of the difference.

    Attributes:
        kind: added, removed, changed, relabelled, moved in, moved out, others, network or class weights.
        text: the change in words.
        label, new_label, folder: as in `training_changes.Group`.
        images: number of images, 0 for a change of the config.
        keys: of the config.
        contribution: change of the metric, second - first; None if it is not defined.
        interval: 95%, for other test images and another draw of the training images.
    """

    kind: str
    text: str
    contribution: float | None
    interval: Interval | None
    label: str | None = None
    new_label: str | None = None
    folder: str | None = None
    images: int = 0
    keys: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "text": self.text,
            "label": self.label,
            "new_label": self.new_label,
            "folder": self.folder,
            "images": self.images,
            "keys": list(self.keys),
            "contribution": self.contribution,
            "interval": self.interval and list(self.interval),
        }


@dataclass(frozen=True)
class Seed:
    """Seeds of the runs, and the spread that another draw of the training images gives."""

    first: int
    second: int
    spread: float | None

    def as_json(self) -> dict[str, Any]:
        return {"a": self.first, "b": self.second, "changed": self.first != self.second, "spread": self.spread}


@dataclass(frozen=True)
class Remainder:
    """Part of the difference that the solved heads do not explain. text: its likely reasons."""

    text: str
    contribution: float | None
    interval: Interval | None


@dataclass(frozen=True)
class WhyResult:
    """Result of `runs why`.

    Attributes:
        first, second: run folders, before and after.
        metric, images: the metric, and the number of test images that it is measured on.
        values: the metric of both runs; None if it is not defined.
        interval: 95%, of the difference, by the paired bootstrap over the test images.
        verdict: better, worse or no difference, as `runs compare` decides on these images.
        parts: the largest first.
        config: {"key", "a", "b", "effect"} for every key that differs; effect: a kind of part, `images`, `seed`,
            `unexplained` or `none`.
        network: that the heads are solved on, as in `networks.Networks`.
        lost: number of images, of each kind, that could not be read any more.
        solves: number of heads that were solved. strengths: of those of the first and of the second run.
        cached: hits and misses of the feature cache.
    """

    first: Path
    second: Path
    metric: str
    images: int
    values: tuple[float | None, float | None]
    interval: Interval | None
    verdict: Literal["better", "worse", "no difference"]
    parts: tuple[Part, ...]
    seed: Seed
    unexplained: Remainder
    config: list[dict[str, Any]]
    network: str
    solves: int
    strengths: tuple[float, float]
    cached: dict[str, int]
    lost: dict[str, int] = field(default_factory=dict)

    @property
    def difference(self) -> float | None:
        """Change of the metric, second - first."""
        before, after = self.values
        return None if before is None or after is None else after - before

    @property
    def noise(self) -> str:
        """The reason why the difference may be chance, or ""."""
        if self.difference is None:
            return ""
        if self.verdict == "no difference":
            return "these test images show no difference"
        if self.seed.spread is not None and abs(self.difference) < self.seed.spread:
            return "another seed may make as much of a difference"
        return ""

    @property
    def headline(self) -> str:
        """The difference and its largest parts in one line."""
        if self.difference is None:
            return f"{self.metric} is not defined on these images"
        opening = f"{self.metric} {self.shown(self.difference, unit=True)}"
        if self.verdict != "no difference" and not METRICS[self.metric].higher_is_better:
            opening += f" ({self.verdict})"
        if self.noise:
            opening = f"within noise: {opening} ({self.noise})"
        parts = [f"{part.text} {self.shown(part.contribution)}" for part in self.parts[:SHOWN_PARTS]]
        if self.seed.spread is not None:
            parts.append(f"seed ±{self.shown(self.seed.spread).lstrip('+')}")
        parts.append(f"{self.unexplained.text} {self.shown(self.unexplained.contribution)}")
        return f"{opening}: {', '.join(parts)}"

    @property
    def in_points(self) -> bool:
        """True if the metric is a share, whose changes are printed in points, hundredths."""
        return math.isfinite(METRICS[self.metric].bounds.high)

    def shown(self, value: float | None, *, unit: bool = False) -> str:
        """Return a change of the metric as printed."""
        if value is None:
            return "-"
        if self.in_points:
            return f"{100 * value + 0.0:+.1f}" + " points" * unit
        return f"{value:+.4f}"

    def as_json(self) -> dict[str, Any]:
        return {
            "a": str(self.first),
            "b": str(self.second),
            "metric": self.metric,
            "images": self.images,
            "a_value": self.values[0],
            "b_value": self.values[1],
            "difference": self.difference,
            "interval": self.interval and list(self.interval),
            "verdict": self.verdict,
            "within_noise": bool(self.noise),
            "headline": self.headline,
            "parts": [part.as_json() for part in self.parts],
            "seed": self.seed.as_json(),
            "unexplained": self.unexplained.contribution,
            "unexplained_interval": self.unexplained.interval and list(self.unexplained.interval),
            "unexplained_text": self.unexplained.text,
            "config": self.config,
            "network": self.network,
            "lost": self.lost,
            "solves": self.solves,
            "strengths": list(self.strengths),
            "cache": {"features": self.cached},
        }
