"""Charts as inline SVG: they take the colours of the page, light or dark, and are sharp in print."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape

from transfercli.evaluation.metrics.calibration import Bin
from transfercli.evaluation.report.plots import CURVES, best_validation_epoch, phase_borders, plot_value

WIDTH, HEIGHT = 480, 260
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 12, 38
SERIES = (("", "training"), ("val_", "validation"))
# A series of at most this many points has a dot at each.
MARKED = 30


@dataclass(frozen=True, slots=True)
class Axis:
    """A linear map from values between `low` and `high` to drawing units between `start` and `end`."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        span = self.high - self.low
        return self.start + (self.end - self.start) * ((value - self.low) / span if span else 0.5)


def training_curves(lines: Sequence[Mapping[str, Any]], key: str, best: int | None) -> Markup | None:
    """Return the chart of training and validation `key` (of `curves_of`) by epoch; None without any value.

    lines: of metrics.jsonl; best: the epoch to mark; None for that of the lowest validation loss
    """
    best = best_validation_epoch(lines) if best is None else best
    values = {name: [plot_value(line.get(prefix + key)) for line in lines] for prefix, name in SERIES}
    known = [value for series in values.values() for value in series if not math.isnan(value)]
    if not known:
        return None
    epochs = [int(line["epoch"]) for line in lines]
    ticks = nice_ticks(min(*known, 0.0), max(known)) if key == "loss" else nice_ticks(0.0, 1.0)
    across = Axis(epochs[0], epochs[-1], LEFT + 8, WIDTH - RIGHT - 8)
    up = Axis(ticks[0], ticks[-1], HEIGHT - BOTTOM, TOP)
    parts = grid_lines(up, ticks) + _epoch_ticks(across, epochs)
    parts += [svg_line("border", across(epoch), TOP, across(epoch), HEIGHT - BOTTOM) for epoch in phase_borders(lines)]
    if best in epochs:
        parts.append(svg_line("best", across(best), TOP, across(best), HEIGHT - BOTTOM))
    for name, series in values.items():
        parts += curve_path(name, [(across(x), up(y)) for x, y in zip(epochs, series, strict=True)])
    last = [f"{name} {_last(series)}" for name, series in values.items() if _last(series)]
    return svg_chart(
        parts, f"{CURVES[key]} by epoch, {epochs[0]} to {epochs[-1]}; at the end: {', '.join(last)}", HEIGHT
    )


def strengths_chart(strengths: Sequence[Sequence[float]], chosen: float) -> Markup:
    """Return the chart of a probe's cross-validated log loss (up) by the strength tried (across, logarithmic).

    strengths: (strength, log loss, accuracy) of each; chosen: the one to mark.
    """
    losses = [loss for _, loss, _ in strengths]
    ticks = nice_ticks(0.0, max(*losses, 0.01))
    places = [math.log10(strength) for strength, _, _ in strengths]
    across = Axis(places[0], places[-1], LEFT + 8, WIDTH - RIGHT - 8)
    up = Axis(ticks[0], ticks[-1], HEIGHT - BOTTOM, TOP)
    parts = grid_lines(up, ticks)
    for place, (strength, _, _) in zip(places, strengths, strict=True):
        parts.append(svg_text("tick middle", across(place), HEIGHT - BOTTOM + 16, _strength(strength)))
        if strength == chosen:
            parts.append(svg_line("best", across(place), TOP, across(place), HEIGHT - BOTTOM))
    parts.append(
        svg_text("tick middle", (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 4, "strength: larger is a weaker penalty")
    )
    parts += curve_path("validation", [(across(x), up(y)) for x, y in zip(places, losses, strict=True)])
    return svg_chart(parts, f"log loss by strength; the chosen strength is {_strength(chosen)}", HEIGHT)


def _strength(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def reliability_chart(bins: Sequence[Bin], names: tuple[str, str] = ("confidence", "accuracy")) -> Markup:
    """Return the chart of accuracy (up) by confidence (across) of each bin; on the dashed line the two are equal.

    names: of the axes, across and up
    """

    def parts(across: Axis, up: Axis) -> list[str]:
        points = [(across(group.confidence), up(group.confidence), up(group.accuracy)) for group in bins]
        gaps = [svg_line("gap", x, diagonal, x, y) for x, diagonal, y in points]
        return [diagonal_line(across, up), *gaps, *(svg_dot("validation", x, y, 4) for x, _, y in points)]

    label = f"reliability: {names[1]} by {names[0]}, one point for each bin; the table below has its numbers"
    return square_chart(names, parts, label)


def square_chart(names: tuple[str, str], parts: Callable[[Axis, Axis], list[str]], label: str) -> Markup:
    """Return a chart whose axes both go from 0 to 1. names: of the axes, across and up; parts: draws on them."""
    side = 300
    ticks = nice_ticks(0.0, 1.0)
    across = Axis(0, 1, LEFT, side - RIGHT)
    up = Axis(0, 1, side - BOTTOM, side - BOTTOM - (side - RIGHT - LEFT) + 6)
    drawn = grid_lines(up, ticks, across.end)
    drawn += [svg_text("tick middle", across(tick), side - BOTTOM + 16, tick_label(tick)) for tick in ticks]
    drawn += parts(across, up)
    drawn.append(svg_text("tick middle", across(0.5), side - 4, names[0]))
    drawn.append(svg_text("tick", 2, 11, names[1]))
    return svg_chart(drawn, label, side, side)


def diagonal_line(across: Axis, up: Axis) -> str:
    """Return the dashed line on which both axes have the same value."""
    return svg_line("border", across(0), up(0), across(1), up(1))


def risk_chart(curve: Mapping[str, Any], abstention: Mapping[str, Any] | None) -> Markup:
    """Return the chart of risk (up), the share of wrong predictions, by coverage (across).

    curve: as returned by `CoverageCurve.as_json`; abstention: the point to mark, as in `trust.confidence_metrics`.
    """
    risks = [1 - accuracy for accuracy in curve["accuracy"]]
    ticks = nice_ticks(0.0, max(*risks, 0.01))
    across, up = Axis(0, 1, LEFT, WIDTH - RIGHT), Axis(ticks[0], ticks[-1], HEIGHT - BOTTOM, TOP)
    points = list(zip(curve["coverage"], risks, strict=True))
    parts = grid_lines(up, ticks)
    parts += [svg_text("tick middle", across(t), HEIGHT - BOTTOM + 16, tick_label(t)) for t in nice_ticks(0.0, 1.0)]
    parts.append(svg_text("tick middle", (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 4, "coverage: share of images answered"))
    parts += curve_path("validation", [(across(x), up(y)) for x, y in points])
    if abstention and abstention["coverage"]:
        x = across(abstention["coverage"])
        parts.append(svg_line("border", x, TOP, x, HEIGHT - BOTTOM))
        parts.append(svg_dot("validation", x, up(1 - abstention["accuracy"]), 5))
    return svg_chart(parts, f"risk by coverage; with every image answered the risk is {risks[-1]:.3f}", HEIGHT)


def unknown_chart(scores: Mapping[str, Any]) -> Markup:
    """Return the histogram of out-of-distribution scores, with a line at the threshold.

    scores: `out_of_distribution` of `trust.confidence_metrics`, with its `histogram`.
    """
    counts, edges, limit = scores["histogram"]["counts"], scores["histogram"]["edges"], scores["threshold"]
    ends = [edges[0], edges[-1]] if limit is None else [min(edges[0], limit), max(edges[-1], limit)]
    across = Axis(ends[0], ends[1] if ends[1] > ends[0] else ends[0] + 1, LEFT, WIDTH - RIGHT)
    ticks = nice_ticks(0.0, max(*counts, 1))
    up = Axis(ticks[0], ticks[-1], HEIGHT - BOTTOM, TOP)
    parts = grid_lines(up, ticks)
    steps = [(edges[0], 0), *((edge, count) for i, count in enumerate(counts) for edge in edges[i : i + 2])]
    parts += curve_path("validation", [(across(x), up(y)) for x, y in [*steps, (edges[-1], 0)]])
    parts += [svg_text("tick middle", across(end), HEIGHT - BOTTOM + 16, f"{end:.3g}") for end in ends]
    if limit is not None:
        parts.append(svg_line("best", across(limit), TOP, across(limit), HEIGHT - BOTTOM))
    parts.append(svg_text("tick middle", (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 4, "out-of-distribution score"))
    label = f"images by out-of-distribution score; {scores['strange']:.1%} are above the threshold"
    return svg_chart(parts, label, HEIGHT)


def precision_recall_chart(
    curve: Sequence[tuple[float, float]], chosen: tuple[float, float] | None, prevalence: float, label: str
) -> Markup:
    """Return a small chart of precision (up) by recall (across).

    curve, chosen: (recall, precision) of the points, and of the chosen threshold, or None; prevalence: the precision of
    random scores, a dashed line; label: says what is seen
    """
    width, height, left, bottom = 220, 150, 34, 34
    across, up = Axis(0, 1, left + 4, width - 8), Axis(0, 1, height - bottom, 8)
    parts = [svg_line("grid", left, up(tick), width, up(tick)) for tick in (0, 0.5, 1)]
    parts += [svg_text("tick end", left - 6, up(tick) + 4, tick_label(tick)) for tick in (0, 0.5, 1)]
    parts += [svg_text("tick middle", across(tick), height - bottom + 15, tick_label(tick)) for tick in (0, 0.5, 1)]
    parts.append(svg_text("tick middle", across(0.5), height - 3, "recall"))
    parts.append(svg_line("border", left, up(prevalence), width, up(prevalence)))
    path = "M" + "L".join(f"{across(x):.1f} {up(y):.1f}" for x, y in curve)
    parts.append(f'<path class="curve validation" d="{path}"/>')
    if chosen is not None:
        parts.append(svg_dot("training", across(chosen[0]), up(chosen[1]), 5))
    return svg_chart(parts, label, height, width)


def corruption_chart(rows: Sequence[Mapping[str, Any]], plain: float) -> Markup:
    """Return the chart of accuracy (up) by severity (across) of one corruption, with intervals.

    rows: results of `score_corruption`; plain: the accuracy without corruption, a dashed line. The vertical axis is
    always 0 to 1, so that charts can be compared.
    """
    width, height, left, bottom = 220, 150, 34, 34
    severities = [row["severity"] for row in rows]
    across = Axis(severities[0], severities[-1], left + 12, width - 12)
    up = Axis(0, 1, height - bottom, 8)
    parts = [svg_line("grid", left, up(tick), width, up(tick)) for tick in (0, 0.5, 1)]
    parts += [svg_text("tick end", left - 6, up(tick) + 4, tick_label(tick)) for tick in (0, 0.5, 1)]
    parts += [svg_text("tick middle", across(value), height - bottom + 15, str(value)) for value in severities]
    parts.append(svg_text("tick middle", (left + width) / 2, height - 3, "severity"))
    parts.append(svg_line("border", left, up(plain), width, up(plain)))
    for row in rows:
        low, high = row["interval"]
        parts.append(svg_line("interval", across(row["severity"]), up(low), across(row["severity"]), up(high)))
    parts += curve_path("validation", [(across(row["severity"]), up(row["accuracy"])) for row in rows])
    accuracies = ", ".join(f"{row['accuracy']:.3f}" for row in rows)
    return svg_chart(parts, f"accuracy at severity {severities[0]} to {severities[-1]}: {accuracies}", height, width)


def nice_ticks(low: float, high: float) -> list[float]:
    """Return about five round numbers, the first at or below `low` and the last at or above `high`."""
    span = (high - low) or abs(high) or 1.0
    size = 10 ** math.floor(math.log10(span / 5))
    step = next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor * 5 >= span * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(step * number, 10) for number in range(first, max(last, first + 1) + 1)]


def grid_lines(up: Axis, ticks: Sequence[float], right: float = WIDTH - RIGHT) -> list[str]:
    """Return a horizontal line and its number at each tick."""
    lines = [svg_line("grid", LEFT, up(tick), right, up(tick)) for tick in ticks]
    return lines + [svg_text("tick end", LEFT - 8, up(tick) + 4, tick_label(tick)) for tick in ticks]


def _epoch_ticks(across: Axis, epochs: Sequence[int]) -> list[str]:
    every = max(1, math.ceil(len(epochs) / 8))
    ticks = [svg_text("tick middle", across(epoch), HEIGHT - BOTTOM + 16, str(epoch)) for epoch in epochs[::every]]
    return [*ticks, svg_text("tick middle", (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 4, "epoch")]


def curve_path(name: str, points: Sequence[tuple[float, float]]) -> list[str]:
    """Return a path with a gap at each missing value and, if there are few points, a dot at each."""
    known = [(x, y) for x, y in points if not math.isnan(y)]
    path, pen = "", "M"
    for x, y in points:
        if math.isnan(y):
            pen = "M"
            continue
        path += f"{pen}{x:.1f} {y:.1f}"
        pen = "L"
    dots = [svg_dot(name, x, y, 2.5) for x, y in known] if len(points) <= MARKED else []
    return [f'<path class="curve {name}" d="{path}"/>', *dots] if known else []


def _last(series: Sequence[float]) -> str:
    return "" if math.isnan(series[-1]) else f"{series[-1]:.3f}"


def tick_label(value: float) -> str:
    return f"{value:.4g}"


def svg_line(kind: str, x1: float, y1: float, x2: float, y2: float) -> str:
    """Return a line; kind: its class in report.css."""
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def svg_text(kind: str, x: float, y: float, text: str) -> str:
    """Return a text; kind: its classes in report.css."""
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'


def svg_dot(kind: str, x: float, y: float, radius: float) -> str:
    """Return a dot; kind: its class in report.css."""
    return f'<circle class="dot {kind}" cx="{x:.1f}" cy="{y:.1f}" r="{radius}"/>'


def svg_chart(parts: Sequence[str], label: str, height: int, width: int = WIDTH, kind: str = "") -> Markup:
    """Return the SVG element. label: says what is seen. kind: more of its classes in report.css."""
    names = f"chart {kind}".strip()
    return Markup(
        f'<svg class="{names}" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(label)}">'
        f"{''.join(parts)}</svg>"
    )
