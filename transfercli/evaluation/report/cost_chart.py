"""Picture of models by accuracy (up) and time of one image (across), with those that no other beats in both."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    from matplotlib.backends.backend_agg import RendererAgg
    from matplotlib.transforms import Bbox

LABEL_LENGTH = 32
MARKER = 7.0  # points
# Directions from a point to its label, tried in this order, at growing distances in points.
DIRECTIONS = ((1, 0.6), (1, -0.6), (-1, 0.6), (-1, -0.6), (0, 1), (0, -1), (1, 1.8), (1, -1.8), (-1, 1.8), (-1, -1.8))
FEW_TICKS = 8.0  # ratio of times below which 1, 2 and 5 of each decade are too few ticks
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
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter

    with plot_style():
        figure = Figure(figsize=(8.0, 5.0), dpi=DPI, layout="constrained")
        renderer = FigureCanvasAgg(figure).get_renderer()
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
            label="none as accurate and as fast",
        )
        for point in points:
            _draw_point(axes, point)
        axes.set_xscale("log")
        axes.margins(x=0.2, y=0.15)
        _set_ticks(axes)
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=None))
        axes.set_xlabel("ms an image (logarithmic)")
        axes.set_ylabel("cross-validated accuracy, with its 95% interval")
        axes.grid(color="#e6e9ed", linewidth=0.8)
        axes.legend(frameon=False, fontsize=8, loc="lower right")
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        label_points(axes, points, renderer)
        return figure_png(figure)


def _set_ticks(axes: Axes) -> None:
    """Set 1, 2 and 5 of each decade as ticks of the time, or even steps if there is hardly a decade."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    low, high = axes.get_xlim()
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)) if high / low > FEW_TICKS else MaxNLocator(6))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


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


def label_points(axes: Axes, points: Sequence[Point], renderer: RendererAgg) -> list[Bbox]:
    """Write each point's name beside it, on no other name, point or interval; a line leads to one further away.

    Returns the boxes of the names in pixels.
    """
    from matplotlib.transforms import Bbox

    scale = DPI / 72
    centres = [axes.transData.transform((point.milliseconds, point.accuracy)) for point in points]
    half = MARKER * scale / 2 + 1
    taken = [Bbox.from_extents(x - half, y - half, x + half, y + half) for x, y in centres]
    taken += [_bar(axes, point) for point in points]
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
        line: dict[str, Any] = (
            {"arrowprops": {"arrowstyle": "-", "color": QUIET, "linewidth": 0.6}} if _far(offset) else {}
        )
        axes.annotate(clipped(point.name, LABEL_LENGTH), xy, offset, **_style(point, offset), **line)
        boxes.append(box)
    return boxes


def _bar(axes: Axes, point: Point) -> Bbox:
    """Return the box of a point's interval in pixels, two pixels wide."""
    from matplotlib.transforms import Bbox

    (x, low), (_, high) = axes.transData.transform([(point.milliseconds, bound) for bound in point.interval])
    return Bbox.from_extents(x - 1, low, x + 1, high)


def _offsets() -> Iterator[tuple[float, float]]:
    for distance in DISTANCES:
        for across, up in DIRECTIONS:
            yield across * distance, up * distance


def _far(offset: tuple[float, float]) -> bool:
    return max(map(abs, offset)) > DISTANCES[1]


def _style(point: Point, offset: tuple[float, float]) -> dict[str, Any]:
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
