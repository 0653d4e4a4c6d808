"""Validation curves of several runs in one chart, as inline SVG."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape

from transfercli.evaluation.report.charts import (
    BOTTOM,
    HEIGHT,
    LEFT,
    MARKED,
    RIGHT,
    TOP,
    WIDTH,
    Axis,
    grid_lines,
    nice_ticks,
    svg_chart,
    svg_text,
)
from transfercli.evaluation.report.plots import CURVES, plot_value

# Colours that people with any colour vision keep apart: at least 30 units of CIE Lab between each two, also as seen
# with protanopia or deuteranopia (Machado et al. 2009), and a contrast of 3 to the page, light and dark.
COLOURS = 6
DASHES = 3
DISTINCT = COLOURS * DASHES  # runs with a line of their own, besides the first


@dataclass(frozen=True, slots=True)
class RunCurves:
    """Curves of a run. name: of the legend; lines: of its metrics.jsonl."""

    name: str
    lines: Sequence[Mapping[str, Any]]


def line_style(number: int) -> str:
    """Return the CSS classes of the run at `number` of the legend, 0 for the first run; `rest` after `DISTINCT`."""
    if number == 0:
        return "first"
    if number > DISTINCT:
        return "rest"
    return f"c{(number - 1) % COLOURS} d{(number - 1) // COLOURS}"


def overlaid_curves(runs: Sequence[RunCurves], key: str) -> Markup | None:
    """Return the chart of validation `key` (of `curves_of`) by epoch, a line a run; None without any value.

    The first run and the `DISTINCT` next ones have a line of their own each; the others are grey, behind them.
    """
    curves = [_points(run, key) for run in runs]
    values = [value for curve in curves for _, value in curve if not math.isnan(value)]
    if not values:
        return None
    epochs = sorted({epoch for curve in curves for epoch, _ in curve})
    ticks = nice_ticks(min(*values, 0.0), _top(curves)) if key == "loss" else nice_ticks(0.0, 1.0)
    across = Axis(epochs[0], epochs[-1], LEFT + 8, WIDTH - RIGHT - 8)
    up = Axis(ticks[0], ticks[-1], HEIGHT - BOTTOM, TOP)
    parts = grid_lines(up, ticks) + _epoch_ticks(across)
    for number, (run, curve) in reversed(list(enumerate(zip(runs, curves, strict=True)))):
        placed = [(across(epoch), max(up(value), up(ticks[-1]))) for epoch, value in curve if not math.isnan(value)]
        parts += _line(number, run.name, placed)
    label = f"validation {CURVES[key]} of {len(runs)} runs by epoch, {epochs[0]} to {epochs[-1]}"
    return svg_chart(parts, label, HEIGHT)


def _epoch_ticks(across: Axis) -> list[str]:
    inside = [tick for tick in nice_ticks(across.low, across.high) if across.low <= tick <= across.high]
    ticks = [
        svg_text("tick middle", across(tick), HEIGHT - BOTTOM + 16, f"{tick:g}") for tick in inside if tick % 1 == 0
    ]
    return [*ticks, svg_text("tick middle", (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 4, "epoch")]


def _points(run: RunCurves, key: str) -> list[tuple[int, float]]:
    return [(int(line["epoch"]), plot_value(line.get(f"val_{key}"))) for line in run.lines]


def _top(curves: Sequence[Sequence[tuple[int, float]]]) -> float:
    """Return the largest value to draw: three times the median of the last ones, if some run is far above it."""
    ends = sorted(value for curve in curves for _, value in curve[-1:] if not math.isnan(value))
    largest = max(value for curve in curves for _, value in curve if not math.isnan(value))
    return min(largest, 3 * ends[len(ends) // 2]) if ends and ends[len(ends) // 2] > 0 else largest


def _line(number: int, name: str, points: Sequence[tuple[float, float]]) -> list[str]:
    """Return the path of a run, with its name as a tooltip; a run of one epoch is a dot."""
    if not points:
        return []
    style = line_style(number)
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    dots = points if len(points) == 1 or (style == "first" and len(points) <= MARKED) else ()
    circles = "".join(f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in dots)
    return [f'<g class="run {style}"><title>{escape(name)}</title><path class="curve" d="{path}"/>{circles}</g>']
