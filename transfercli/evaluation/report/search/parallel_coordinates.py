"""Parallel coordinates as inline SVG: each trial or run is a line through its value on every axis (Inselberg 1985)."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from markupsafe import Markup, escape

from transfercli.config.differing_keys import public_text
from transfercli.evaluation.report.charts import Axis, nice_ticks, svg_chart, svg_line, svg_text
from transfercli.evaluation.report.plots import clipped
from transfercli.redaction import hide_paths_in

WIDTH, HEIGHT = 1080, 400
LEFT, RIGHT, TOP, BOTTOM = 92, 64, 52, 20
NARROWEST = 104  # drawing units between two axes
NAME_LENGTH, CHOICE_LENGTH = 15, 12
SPREAD = 0.6  # share of a choice's room that its lines take, so that they do not hide one another
CROWDED = 150  # lines, from which on they are fainter
FEW_DECADES = 1.9  # below which powers of ten are too few ticks

Scale = Literal["linear", "log", "choice"]


@dataclass(frozen=True, slots=True)
class SearchAxis:
    """Axis of one config key, or of a score.

    low, high: values at its two ends; the higher one may be at the low end. choices: values of the scale `choice`.
    """

    key: str
    scale: Scale
    low: float = 0.0
    high: float = 1.0
    choices: tuple[Any, ...] = ()

    @property
    def name(self) -> str:
        return self.key.rsplit(".", 1)[-1]

    def share(self, value: Any) -> float | None:
        """Return the place of a value between 0 and 1; None for one that is no number, or no choice of the axis.

        A number beyond an end is drawn at the end.
        """
        if self.scale == "choice":
            texts = [json.dumps(choice, sort_keys=True) for choice in self.choices]
            text = json.dumps(value, sort_keys=True)
            return (texts.index(text) + 0.5) / len(texts) if text in texts else None
        if not isinstance(value, int | float) or not math.isfinite(value) or (self.scale == "log" and value <= 0):
            return None
        low, high, value = (self._unit(number) for number in (self.low, self.high, value))
        return min(1.0, max(0.0, (value - low) / (high - low))) if high != low else 0.5

    def ticks(self) -> list[tuple[float, str]]:
        """Return the places that have a label, and the labels."""
        if self.scale == "choice":
            return [((n + 0.5) / len(self.choices), text) for n, text in enumerate(self.labels())]
        ends = sorted((self.low, self.high))
        numbers = _decades(*ends) if self.scale == "log" else _rounded(*ends)
        return [(share, f"{number:.4g}") for number in numbers if (share := self.share(number)) is not None]

    def labels(self, length: int = CHOICE_LENGTH) -> list[str]:
        """Return a short text for each choice; choices that would have the same have their number before it."""
        whole = [_without_quotes(choice) for choice in self.choices]
        texts = [clipped(text, length) for text in whole]
        alike = {text for text in texts if texts.count(text) > 1}
        numbered = [clipped(f"{n} {text}", length) for n, text in enumerate(whole, 1)]
        return [other if text in alike else text for text, other in zip(texts, numbered, strict=True)]

    def _unit(self, value: float) -> float:
        return math.log10(value) if self.scale == "log" else float(value)


@dataclass(frozen=True, slots=True)
class CoordinateLine:
    """Line of one trial or run.

    number: of the trial; the line has the id `line-NUMBER`, for a link to it.
    values: one for each axis; a line has a gap at a value that an axis does not have.
    rank: 0 (worst) to 1 (best), its colour; None for a thin grey line.
    title: text that a browser shows over it.
    kind: more classes.
    """

    number: int
    values: tuple[Any, ...]
    rank: float | None
    title: str
    kind: str = ""


def parallel_coordinates(axes: Sequence[SearchAxis], lines: Sequence[CoordinateLine], label: str) -> Markup:
    """Return the picture; the best lines are drawn last. label: says what is seen."""
    gap = max(NARROWEST, (WIDTH - LEFT - RIGHT) / max(1, len(axes) - 1))
    places = [LEFT + gap * number for number in range(len(axes))]
    up = Axis(0, 1, HEIGHT - BOTTOM, TOP)
    parts = [svg_line("axis", x, TOP, x, HEIGHT - BOTTOM) for x in places]
    parts += [_path(line, axes, places, up) for line in sorted(lines, key=_depth)]
    for axis, x in zip(axes, places, strict=True):
        parts += _axis_texts(axis, x, up, right=x == places[-1] and axis.scale != "choice")
    kinds = ["parallel", *(["crowded"] if len(lines) > CROWDED else []), *(["narrow"] if gap == NARROWEST else [])]
    return svg_chart(parts, label, HEIGHT, round(places[-1] + RIGHT), " ".join(kinds))


def _without_quotes(choice: Any) -> str:
    """Return a short text of a choice: of a section its keys and values."""
    if not isinstance(choice, dict):
        return public_text(choice)
    return ", ".join(f"{key} {public_text(value)}" for key, value in hide_paths_in(choice).items())


def _depth(line: CoordinateLine) -> tuple[bool, float, int]:
    """Return the order of drawing: lines without a score, then from the worst to the best."""
    return (line.rank is not None, line.rank or 0.0, line.number)


def _path(line: CoordinateLine, axes: Sequence[SearchAxis], places: Sequence[float], up: Axis) -> str:
    path, pen = "", "M"
    for axis, value, x in zip(axes, line.values, places, strict=True):
        share = axis.share(value)
        if share is None:
            pen = "M"
            continue
        if axis.scale == "choice":
            share += SPREAD * ((line.rank or 0.0) - 0.5) / len(axis.choices)
        path += f"{pen}{x:.1f} {up(share):.1f}"
        pen = "L"
    names = f"line {line.kind}".strip() if line.rank is not None else f"line unscored {line.kind}".strip()
    style = "" if line.rank is None else f' style="--share:{line.rank:.3f}"'
    return (
        f'<path class="touch" d="{path}"><title>{escape(line.title)}</title></path>'
        f'<path id="line-{line.number}" class="{names}"{style} d="{path}"/>'
    )


def _axis_texts(axis: SearchAxis, x: float, up: Axis, *, right: bool) -> list[str]:
    parent = axis.key.rsplit(".", 2)[-2] if "." in axis.key else ""
    texts = [
        f"<g><title>{escape(axis.key)}</title>",
        svg_text("middle", x, 14, clipped(parent, NAME_LENGTH)),
        svg_text("middle name", x, 30, clipped(axis.name, NAME_LENGTH)),
        "</g>",
    ]
    for share, text in axis.ticks():
        texts.append(svg_line("tick", x - 4, up(share), x + 4, up(share)))
        texts.append(svg_text("tick" if right else "tick end", x + (8 if right else -8), up(share) + 4, text))
    return texts


def _decades(low: float, high: float) -> list[float]:
    """Return the powers of ten from low to high; if they are few, 2 and 5 of each too."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    few = math.log10(high / low) < FEW_DECADES
    numbers = [factor * 10.0**power for power in range(first, last + 1) for factor in ((1, 2, 5) if few else (1,))]
    every = max(1, math.ceil((last - first) / 6))
    inside = [number for number in numbers if low * 0.999 <= number <= high * 1.001]
    return (inside if few else inside[::every]) or [low, high]


def _rounded(low: float, high: float) -> list[float]:
    """Return round numbers from low to high, whole ones between whole ones."""
    whole = isinstance(low, int) and isinstance(high, int)
    numbers = [number for number in nice_ticks(low, high) if not whole or float(number).is_integer()]
    margin = 1e-9 * (high - low)
    inside = [number for number in numbers if low - margin <= number <= high + margin]
    return inside if len(inside) > 1 else [low, high]
