"""Charts as inline SVG: their colours follow the page, light or dark, and they stay sharp in print."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from transfercli.evaluation.metrics.calibration import Bin
from transfercli.evaluation.report.plots import lowest_validation_loss, number, phase_borders

WIDTH, HEIGHT = 480, 260
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 12, 38
SERIES = (("", "training"), ("val_", "validation"))
# Up to this many points are marked one by one.
MARKED = 30


@dataclass(frozen=True, slots=True)
class Axis:
    """Maps values between `low` and `high` to drawing units between `start` and `end`."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        span = self.high - self.low
        return self.start + (self.end - self.start) * ((value - self.low) / span if span else 0.5)


def training_curves(lines: Sequence[Mapping[str, Any]], key: str, best: int | None) -> Markup | None:
    """Training and validation `key` ("loss" or "accuracy") by epoch; None where no line has a value."""
    best = lowest_validation_loss(lines) if best is None else best
    values = {name: [number(line.get(prefix + key)) for line in lines] for prefix, name in SERIES}
    known = [value for series in values.values() for value in series if not math.isnan(value)]
    if not known:
        return None
    epochs = [int(line["epoch"]) for line in lines]
    ticks = nice_ticks(0.0, 1.0) if key == "accuracy" else nice_ticks(min(*known, 0.0), max(known))
    across = Axis(epochs[0], epochs[-1], LEFT + 8, WIDTH - RIGHT - 8)
    up = Axis(ticks[0], ticks[-1], HEIGHT - BOTTOM, TOP)
    parts = _grid(up, ticks) + _epoch_ticks(across, epochs)
    parts += [_line("border", across(at), TOP, across(at), HEIGHT - BOTTOM) for at in phase_borders(lines)]
    if best in epochs:
        parts.append(_line("best", across(best), TOP, across(best), HEIGHT - BOTTOM))
    for name, series in values.items():
        parts += _series(name, [(across(x), up(y)) for x, y in zip(epochs, series, strict=True)])
    last = [f"{name} {_last(series)}" for name, series in values.items() if _last(series)]
    return _svg(parts, f"{key} by epoch, {epochs[0]} to {epochs[-1]}; at the end: {', '.join(last)}", HEIGHT)


def reliability_chart(bins: Sequence[Bin]) -> Markup:
    """Accuracy (up) against confidence (across) of each bin; on the dashed line the two agree."""
    side = 300
    ticks = nice_ticks(0.0, 1.0)
    across = Axis(0, 1, LEFT, side - RIGHT)
    up = Axis(0, 1, side - BOTTOM, side - BOTTOM - (side - RIGHT - LEFT) + 6)
    parts = _grid(up, ticks, across.end)
    parts += [_text("tick middle", across(tick), side - BOTTOM + 16, _plain(tick)) for tick in ticks]
    parts.append(_line("border", across(0), up(0), across(1), up(1)))
    for one in bins:
        parts.append(_line("gap", across(one.confidence), up(one.confidence), across(one.confidence), up(one.accuracy)))
    parts += [_dot("validation", across(one.confidence), up(one.accuracy), 4) for one in bins]
    parts.append(_text("tick middle", across(0.5), side - 4, "confidence"))
    parts.append(_text("tick", 2, 11, "accuracy"))
    return _svg(
        parts, "reliability: accuracy against confidence, one point a bin; the table below has its numbers", side, side
    )


def risk_chart(curve: Mapping[str, Any], abstention: Mapping[str, Any] | None) -> Markup:
    """Share of wrong answers (up) among the most confident images, by how many those are (across).

    curve: as `Coverage.as_json` gives it; abstention: where the threshold is, as `trust.judged` gives it.
    """
    risks = [1 - accuracy for accuracy in curve["accuracy"]]
    ticks = nice_ticks(0.0, max(*risks, 0.01))
    across, up = Axis(0, 1, LEFT, WIDTH - RIGHT), Axis(ticks[0], ticks[-1], HEIGHT - BOTTOM, TOP)
    points = list(zip(curve["coverage"], risks, strict=True))
    parts = _grid(up, ticks)
    parts += [_text("tick middle", across(t), HEIGHT - BOTTOM + 16, _plain(t)) for t in nice_ticks(0.0, 1.0)]
    parts.append(_text("tick middle", (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 4, "coverage: share of images answered"))
    parts += _series("validation", [(across(x), up(y)) for x, y in points])
    if abstention and abstention["coverage"]:
        at = abstention["coverage"]
        parts.append(_line("border", across(at), TOP, across(at), HEIGHT - BOTTOM))
        parts.append(_dot("validation", across(at), up(1 - abstention["accuracy"]), 5))
    return _svg(parts, f"risk by coverage; with every image answered the risk is {risks[-1]:.3f}", HEIGHT)


def corruption_chart(rows: Sequence[Mapping[str, Any]], plain: float) -> Markup:
    """Accuracy (up) by severity (across) of one corruption, with intervals; dashed: `plain`, without it.

    rows: of `robustness.measured`. All such charts have the same axes, so that they can be compared.
    """
    width, height, left, bottom = 220, 150, 34, 34
    severities = [row["severity"] for row in rows]
    across = Axis(severities[0], severities[-1], left + 12, width - 12)
    up = Axis(0, 1, height - bottom, 8)
    parts = [_line("grid", left, up(tick), width, up(tick)) for tick in (0, 0.5, 1)]
    parts += [_text("tick end", left - 6, up(tick) + 4, _plain(tick)) for tick in (0, 0.5, 1)]
    parts += [_text("tick middle", across(at), height - bottom + 15, str(at)) for at in severities]
    parts.append(_text("tick middle", (left + width) / 2, height - 3, "severity"))
    parts.append(_line("border", left, up(plain), width, up(plain)))
    for row in rows:
        low, high = row["interval"]
        parts.append(_line("interval", across(row["severity"]), up(low), across(row["severity"]), up(high)))
    parts += _series("validation", [(across(row["severity"]), up(row["accuracy"])) for row in rows])
    told = ", ".join(f"{row['accuracy']:.3f}" for row in rows)
    return _svg(parts, f"accuracy at severity {severities[0]} to {severities[-1]}: {told}", height, width)


def nice_ticks(low: float, high: float) -> list[float]:
    """About five round numbers, the first at or below `low` and the last at or above `high`."""
    span = (high - low) or abs(high) or 1.0
    size = 10 ** math.floor(math.log10(span / 5))
    step = next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor * 5 >= span * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(step * number, 10) for number in range(first, max(last, first + 1) + 1)]


def _grid(up: Axis, ticks: Sequence[float], right: float = WIDTH - RIGHT) -> list[str]:
    lines = [_line("grid", LEFT, up(tick), right, up(tick)) for tick in ticks]
    return lines + [_text("tick end", LEFT - 8, up(tick) + 4, _plain(tick)) for tick in ticks]


def _epoch_ticks(across: Axis, epochs: Sequence[int]) -> list[str]:
    every = max(1, math.ceil(len(epochs) / 8))
    ticks = [_text("tick middle", across(epoch), HEIGHT - BOTTOM + 16, str(epoch)) for epoch in epochs[::every]]
    return [*ticks, _text("tick middle", (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 4, "epoch")]


def _series(name: str, points: Sequence[tuple[float, float]]) -> list[str]:
    """A path with a gap wherever a value is missing, and a dot a point where they are few."""
    known = [(x, y) for x, y in points if not math.isnan(y)]
    path, pen = "", "M"
    for x, y in points:
        if math.isnan(y):
            pen = "M"
            continue
        path += f"{pen}{x:.1f} {y:.1f}"
        pen = "L"
    dots = [_dot(name, x, y, 2.5) for x, y in known] if len(points) <= MARKED else []
    return [f'<path class="curve {name}" d="{path}"/>', *dots] if known else []


def _last(series: Sequence[float]) -> str:
    return "" if math.isnan(series[-1]) else f"{series[-1]:.3f}"


def _plain(value: float) -> str:
    return f"{value:.4g}"


def _line(kind: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _text(kind: str, x: float, y: float, text: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{text}</text>'


def _dot(kind: str, x: float, y: float, radius: float) -> str:
    return f'<circle class="dot {kind}" cx="{x:.1f}" cy="{y:.1f}" r="{radius}"/>'


def _svg(parts: Sequence[str], label: str, height: int, width: int = WIDTH) -> Markup:
    """Only numbers and the words of this module get in here, so that there is nothing to escape."""
    return Markup(
        f'<svg class="chart" viewBox="0 0 {width} {height}" role="img" aria-label="{label}">{"".join(parts)}</svg>'
    )
