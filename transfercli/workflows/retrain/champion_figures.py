"""Figures of a run that becomes champion by hand and of the champion before it, as they were measured earlier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from transfercli.config.types import CLASSIFY
from transfercli.errors import ArtefactError, TransferError
from transfercli.io.bounded import read_json
from transfercli.runs.decisions import Decision
from transfercli.runs.folder import RunFolder
from transfercli.text import decimal
from transfercli.workflows.answers import main_metric
from transfercli.workflows.stored_run import StoredRun


@dataclass(frozen=True)
class ChampionFigures:
    """Figures of a new champion and of the one before it.

    Attributes:
        metric: the decisive metric of their last comparison, else that of the task, accuracy or map.
        champion, previous: its value on each run's own test images, its 95% interval (or None) and the number of
            images; None if the run was not evaluated.
        comparison: the last comparison of the two on the same images; None if they were never compared. `gain` is that
            of the new champion, with an interval or None.
    """

    metric: str
    champion: dict[str, Any] | None
    previous: dict[str, Any] | None
    comparison: dict[str, Any] | None = None

    @property
    def worse(self) -> bool:
        """True if the new champion is significantly worse: in the last comparison, else if the intervals are apart."""
        from transfercli.evaluation.statistics.paired import metric_sign

        if self.comparison:
            gain, interval = self.comparison["gain"], self.comparison["interval"]
            return bool(interval[1] < 0) if interval else bool(gain is not None and gain < 0)
        figures = (self.champion, self.previous)
        intervals = [figure["interval"] for figure in figures if figure and figure["interval"]]
        if len(intervals) < len(figures):
            return False
        ours, theirs = intervals
        return bool(ours[1] < theirs[0]) if metric_sign(self.metric) > 0 else bool(ours[0] > theirs[1])

    @property
    def text(self) -> str:
        """The figures in words; "" if there are none."""
        if compared := self.comparison:
            interval = "" if not compared["interval"] else " ({:+.4f} to {:+.4f})".format(*compared["interval"])
            return (
                f"{self.metric} {decimal(compared['champion'])} against {decimal(compared['previous'])} on"
                f" {compared['images']} test images, gain {decimal(compared['gain'], '+')}{interval}, compared on"
                f" {compared['time'][:10]}"
            )
        named = (("champion", self.champion), ("previous champion", self.previous))
        return ", ".join(f"{self.metric} of the {name} {_shown(figure)}" for name, figure in named if figure)

    def as_json(self) -> dict[str, Any]:
        return {
            "figures": {"metric": self.metric, "champion": self.champion, "previous": self.previous},
            "comparison": self.comparison,
            "worse": self.worse,
        }


def champion_figures(run: RunFolder, former: RunFolder, log: Sequence[Decision]) -> ChampionFigures:
    """Return the figures of a run and of the champion before it. log: all earlier decisions."""
    comparison = last_comparison(log, run.run_id, former.run_id)
    metric = comparison["metric"] if comparison else _metric_of(run)
    return ChampionFigures(metric, stored_figure(run, metric), stored_figure(former, metric), comparison)


def _metric_of(run: RunFolder) -> str:
    """Return the main metric of a run's task; accuracy if it cannot be read: it is promoted all the same."""
    try:
        return main_metric(StoredRun(run).config.task)
    except TransferError:
        return main_metric(CLASSIFY)


def stored_figure(run: RunFolder, metric: str) -> dict[str, Any] | None:
    """Return a metric of a run on its test images, with interval and number of images; None if it is not stored."""
    try:
        content = read_json(run.evaluation("test") / "metrics.json")
        value, images = content["metrics"][metric], content["examples"]
        interval = content["intervals"].get(metric)
    except (ArtefactError, KeyError, TypeError, AttributeError):
        return None
    return {"value": value, "interval": interval, "images": images} if isinstance(value, int | float) else None


def last_comparison(log: Sequence[Decision], run_id: str, former_id: str) -> dict[str, Any] | None:
    """Return the last logged comparison of two runs, seen from the first; None if there is none."""
    found, champion = None, None
    for entry in log:
        compared = entry.facts.get("comparison")
        if isinstance(compared, dict) and compared and {champion, entry.challenger} == {run_id, former_id}:
            found = _seen_from(compared, entry, from_champion=champion == run_id)
        champion = entry.champion or champion
    return found


def _seen_from(compared: dict[str, Any], entry: Decision, *, from_champion: bool) -> dict[str, Any] | None:
    """Return a logged comparison, with the signs changed if it is seen from the champion; None if it is damaged."""
    try:
        gain, interval, ours, theirs = (compared[key] for key in ("gain", "interval", "challenger", "champion"))
        if from_champion:
            gain, ours, theirs = None if gain is None else -gain, theirs, ours
            interval = [-interval[1], -interval[0]] if interval else None
        return {
            "time": entry.time,
            "metric": compared["metric"],
            "images": compared["images"],
            "champion": ours,
            "previous": theirs,
            "gain": gain,
            "interval": interval,
        }
    except (KeyError, TypeError, IndexError):
        return None


def _shown(figure: dict[str, Any]) -> str:
    interval = "" if not figure["interval"] else ", {:.4f} to {:.4f}".format(*figure["interval"])
    return f"{figure['value']:.4f} ({figure['images']} test images{interval})"
