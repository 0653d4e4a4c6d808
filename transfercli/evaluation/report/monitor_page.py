"""The HTML page of `monitor`: expected accuracy, drift, class mix and confidence, then and now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from transfercli.evaluation.report.charts import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    Axis,
    curve_path,
    grid_lines,
    nice_ticks,
    svg_chart,
    svg_line,
    svg_text,
    tick_label,
)
from transfercli.evaluation.report.html import jinja_environment

BINS = 20  # of confidence
SHOWN_CLASSES = 30  # with the largest changes of their share
DAYS_NAMED = 6  # at most, below the chart

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class MonitorPage:
    """Content of the page.

    run: EXPERIMENT/RUN_ID. result: JSON of `monitor`. labels: of the model. confidences: of held-out and of recent
    answers; shares: of each answered class among both, each [C]. estimates: name in words -> accuracy. command: the
    command line that repeats it.
    """

    run: str
    result: Mapping[str, Any]
    labels: Sequence[str]
    confidences: tuple[Array, Array]
    shares: tuple[Array, Array]
    estimates: Mapping[str, float]
    command: str

    def render(self) -> str:
        """Return the page."""
        result = self.result
        days = [day for day in result["days"] if day["mean_confidence"] is not None]
        text: str = (
            jinja_environment()
            .get_template("monitor.html.j2")
            .render(
                page=self,
                result=result,
                expected={name: each for name, each in result["expected"].items() if "[" not in name},
                of_classes=self._of_classes(),
                mix=self._mix(),
                confidence_chart=confidence_chart(*self.confidences),
                day_chart=day_chart(days) if len(days) > 1 else None,
                failed=[gate for gate in result["gates"] if not gate["passed"]],
                tests=result["drift"]["tests"] if result["drift"] else {},
            )
        )
        return text

    def _of_classes(self) -> list[tuple[str, Mapping[str, Any]]]:
        """Return the metrics of single classes, the lowest first."""
        rows = [(n, each) for n, each in self.result["expected"].items() if "[" in n and each["value"] is not None]
        return sorted(rows, key=lambda row: row[1]["value"])[:SHOWN_CLASSES]

    def _mix(self) -> list[tuple[str, float, float]]:
        """Return label, share then, share now of the classes, those with the largest change first."""
        then, now = self.shares
        order = np.argsort(-np.abs(now - then), kind="stable")[:SHOWN_CLASSES]
        return [(self.labels[row], float(then[row]), float(now[row])) for row in order]


def confidence_chart(then: Array, now: Array) -> Markup:
    """Return the chart of the share of answers (up) by confidence (across), of held-out and of recent images."""
    shares = [np.histogram(each, BINS, (0.0, 1.0))[0] / max(1, len(each)) for each in (then, now)]
    ticks = nice_ticks(0.0, max(float(max(map(np.max, shares))), 0.01))
    across, up = Axis(0, 1, LEFT, WIDTH - RIGHT), Axis(ticks[0], ticks[-1], HEIGHT - BOTTOM, TOP)
    parts = grid_lines(up, ticks)
    parts += [svg_text("tick middle", across(t), HEIGHT - BOTTOM + 16, tick_label(t)) for t in nice_ticks(0.0, 1.0)]
    parts.append(svg_text("tick middle", (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 4, "confidence"))
    edges = np.linspace(0, 1, BINS + 1)
    for kind, values in zip(("training", "validation"), shares, strict=True):
        steps = [(0.0, 0.0), *((edge, v) for i, v in enumerate(values) for edge in edges[i : i + 2]), (1.0, 0.0)]
        parts += curve_path(kind, [(across(float(x)), up(float(y))) for x, y in steps])
    label = f"answers by confidence: mean {then.mean():.3f} on held-out images, {now.mean():.3f} on recent ones"
    return svg_chart(parts, label, HEIGHT)


def day_chart(days: Sequence[Mapping[str, Any]]) -> Markup:
    """Return the chart of the mean confidence (up) by day (across)."""
    ticks = nice_ticks(0.0, 1.0)
    across, up = Axis(0, len(days) - 1, LEFT + 8, WIDTH - RIGHT - 8), Axis(0, 1, HEIGHT - BOTTOM, TOP)
    parts = grid_lines(up, ticks)
    for place in np.unique(np.linspace(0, len(days) - 1, DAYS_NAMED).round().astype(int)):
        parts.append(svg_line("grid", across(place), TOP, across(place), HEIGHT - BOTTOM))
        parts.append(svg_text("tick middle", across(place), HEIGHT - BOTTOM + 16, days[place]["day"][5:]))
    parts += curve_path("validation", [(across(n), up(day["mean_confidence"])) for n, day in enumerate(days)])
    first, last = days[0], days[-1]
    return svg_chart(
        parts,
        f"mean confidence by day: {first['mean_confidence']:.3f} on {first['day']},"
        f" {last['mean_confidence']:.3f} on {last['day']}",
        HEIGHT,
    )
