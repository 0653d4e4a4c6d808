"""Picture of models by accuracy (up) and time of one image (across), with those that no other beats in both."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from transfercli.evaluation.report.plots import (
    DPI,
    QUIET,
    TITLE_LENGTH,
    TRAINING,
    VALIDATION,
    clipped,
    figure_png,
    plot_style,
)
from transfercli.io import atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.transforms import Bbox

LABEL_LENGTH = 32
MARKER = 7.0  # points
# Directions from a point to its label, tried in this order, at growing distances in points.
DIRECTIONS = ((1, 0.6), (1, -0.6), (-1, 0.6), (-1, -0.6), (0, 1), (0, -1), (1, 1.8), (1, -1.8), (-1, 1.8), (-1, -1.8))
DISTANCES = (7.0, 14.0, 24.0, 38.0, 56.0)


@dataclass(frozen=True)
class Point:
    """Model in the picture. milliseconds: time of one image. accuracy, interval: shares. pareto: on the front."""

    name: str
    milliseconds: float
    accuracy: float
    interval: tuple[float, float]
    pareto: bool
    recommended: bool


def cost_chart_png(path: Path, points: Sequence[Point], title: str) -> None:
    """Write the picture as a PNG file, in a folder that is created if it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic.write_bytes(path, render_cost_chart(points, title))


def render_cost_chart(points: Sequence[Point], title: str) -> bytes:
    """Return the picture as PNG bytes."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, PercentFormatter

    with plot_style():
        figure = Figure(figsize=(8.0, 5.0), dpi=DPI, layout="constrained")
        axes = figure.add_subplot()
        figure.suptitle(clipped(title, TITLE_LENGTH), fontsize=10)
        front = sorted((point for point in points if point.pareto), key=lambda point: point.milliseconds)
        axes.plot(
            [p.milliseconds for p in front],
            [p.accuracy for p in front],
            color=VALIDATION,
            linewidth=1,
            alpha=0.6,
            drawstyle="steps-post",
            label="not beaten in both",
        )
        for point in points:
            _draw_point(axes, point)
        axes.set_xscale("log")
        axes.margins(x=0.2, y=0.15)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(FuncFormatter(_minor_label))
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=None))
        axes.set_xlabel("ms an image (logarithmic)")
        axes.set_ylabel("cross-validated accuracy, with its 95% interval")
        axes.grid(color="#e6e9ed", linewidth=0.8)
        axes.legend(frameon=False, fontsize=8, loc="lower right")
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        label_points(axes, points)
        return figure_png(figure)


def _minor_label(value: float, _: int | None) -> str:
    """Return the label of a minor tick: 2, 5, 20, 50 and so on, so that also one decade has several."""
    return f"{value:g}" if f"{value:e}"[0] in "25" else ""


def _draw_point(axes: Axes, point: Point) -> None:
    colour = TRAINING if point.recommended else VALIDATION if point.pareto else QUIET
    low, high = point.interval
    axes.errorbar(
        [point.milliseconds],
        [point.accuracy],
        yerr=[[max(0.0, point.accuracy - low)], [max(0.0, high - point.accuracy)]],
        color=colour,
        ecolor=colour,
        elinewidth=0.8,
        capsize=2,
        marker="o",
        markersize=MARKER,
        linestyle="none",
        label="recommended" if point.recommended else None,
    )


def label_points(axes: Axes, points: Sequence[Point]) -> list[Bbox]:
    """Write each point's name beside it, where it covers no other name and no point; a line leads to one far away.

    Returns the boxes of the names in pixels.
    """
    from matplotlib.transforms import Bbox

    renderer = axes.figure.canvas.get_renderer()
    scale = axes.figure.dpi / 72
    centres = [axes.transData.transform((point.milliseconds, point.accuracy)) for point in points]
    half = MARKER * scale / 2 + 1
    taken = [Bbox.from_extents(x - half, y - half, x + half, y + half) for x, y in centres]
    boxes: list[Bbox] = []
    for point in sorted(points, key=lambda point: -point.accuracy):
        xy = (point.milliseconds, point.accuracy)
        best: tuple[float, tuple[float, float], Bbox] | None = None
        for offset in _offsets():
            text = axes.annotate(clipped(point.name, LABEL_LENGTH), xy, offset, **_style(point, offset))
            box = text.get_window_extent(renderer).padded(1.5)
            text.remove()
            cost = sum(_overlap(box, other) for other in (*taken, *boxes)) + _outside(box, axes.bbox)
            if best is None or cost < best[0]:
                best = cost, offset, box
            if cost == 0:
                break
        assert best is not None
        _, offset, box = best
        line = {"arrowprops": {"arrowstyle": "-", "color": QUIET, "linewidth": 0.6}} if _far(offset) else {}
        axes.annotate(clipped(point.name, LABEL_LENGTH), xy, offset, **_style(point, offset), **line)
        boxes.append(box)
    return boxes


def _offsets() -> Iterator[tuple[float, float]]:
    for distance in DISTANCES:
        for across, up in DIRECTIONS:
            yield across * distance, up * distance


def _far(offset: tuple[float, float]) -> bool:
    return max(map(abs, offset)) > DISTANCES[1]


def _style(point: Point, offset: tuple[float, float]) -> dict[str, object]:
    across, up = offset
    return {
        "textcoords": "offset points",
        "ha": "left" if across > 0 else "right" if across < 0 else "center",
        "va": "bottom" if up > 0 else "top",
        "fontsize": 8,
        "fontweight": "bold" if point.recommended else "normal",
        "color": "#16202b",
    }


def _overlap(one: Bbox, other: Bbox) -> float:
    """Return the area in pixels that two boxes share."""
    width = min(one.x1, other.x1) - max(one.x0, other.x0)
    height = min(one.y1, other.y1) - max(one.y0, other.y0)
    return max(0.0, width) * max(0.0, height)


def _outside(box: Bbox, frame: Bbox) -> float:
    return box.width * box.height - _overlap(box, frame)
