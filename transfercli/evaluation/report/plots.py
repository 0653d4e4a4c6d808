"""PNG files: the confusion matrix and the training curves of a run, and the loss of a learning-rate range test.

They are drawn with Matplotlib's Figure, as pyplot keeps global state and selects a window system. The files contain no
software or host name, so the same numbers give the same bytes.
"""

from __future__ import annotations

import io
import math
import unicodedata
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from transfercli.io import atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from transfercli.training.range_test import RatePoint, Suggestion

# Fixed settings, so that a user's matplotlibrc (LaTeX, dark styles, other fonts) does not change or break a report.
STYLE = {
    "text.usetex": False,
    "font.family": ["DejaVu Sans"],
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#8a929c",
    "axes.axisbelow": True,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "text.parse_math": False,
}
TRAINING, VALIDATION, QUIET = "#c2571a", "#1f5fa8", "#8a929c"
LABEL_LENGTH = 22
DPI = 120
# With more classes, names and counts are too small to read.
MOST_NAMED = 120
ROOMY = 0.5  # inches; a cell of this size has room for a count and a percentage
TITLE_LENGTH = 90


def clipped(label: str, length: int = LABEL_LENGTH) -> str:
    """Return a class or file name as one printable line of at most `length` characters."""
    line = "".join(_printable(letter) for letter in label)
    return line if len(line) <= length else line[: length - 1] + "…"


def _printable(letter: str) -> str:
    kind = unicodedata.category(letter)[0]
    # Z: spaces and line ends; C: control characters, direction overrides, surrogates of names that are not UTF-8.
    return {"Z": " ", "C": "\ufffd"}.get(kind, letter)


# Names of the curves of a run, by key of `metrics.jsonl`.
CURVES = {
    "loss": "loss",
    "accuracy": "accuracy",
    "mae": "mean absolute error",
    "map": "mean average precision",
    "macro_f1": "macro F1",
}


def curves_of(lines: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return the keys of the curves to draw: those of several labels if a line has them."""
    if any("val_mae" in line for line in lines):
        return ("loss", "mae")
    return ("loss", "map", "macro_f1") if any("val_map" in line for line in lines) else ("loss", "accuracy")


def history_png(path: Path, lines: Sequence[Mapping[str, Any]], best_epoch: int | None = None, title: str = "") -> None:
    """Write a PNG of `curves_of` the lines by epoch, from the lines of `metrics.jsonl`, with phases and the best epoch.

    best_epoch: None for the epoch of the lowest validation loss
    """
    atomic.write_bytes(path, render_history(lines, best_epoch, title))


@dataclass(frozen=True, slots=True, eq=False)
class MatrixPanel:
    """A square matrix to draw.

    counts: int [C, C]; shares: float [C, C], 0 to 1, the colours; names: of the rows and columns
    columns, rows, colour: titles of the axes and of the colours
    """

    counts: npt.NDArray[np.int64]
    shares: npt.NDArray[np.float64]
    names: Sequence[str]
    columns: str
    rows: str
    colour: str


def render_confusion_matrix(matrix: npt.NDArray[np.int64], labels: Sequence[str], title: str = "") -> bytes:
    """Return the confusion matrix int [C, C] (rows = truth) as PNG bytes, with the shares of each row as colours."""
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    return render_matrices(
        [MatrixPanel(matrix, shares, labels, "predicted", "truth", "share of the true class")], title
    )


def render_matrices(panels: Sequence[MatrixPanel], title: str = "") -> bytes:
    """Return matrices side by side as PNG bytes.

    Cells have counts, and if there is room percentages, for up to MOST_NAMED names.
    """
    from matplotlib.figure import Figure

    cells = [_cell_size(len(panel.names)) for panel in panels]
    sides = [cell * len(panel.names) for cell, panel in zip(cells, panels, strict=True)]
    margins = [0.9 + _longest(panel) * _font_size(cell) * 0.0085 for cell, panel in zip(cells, panels, strict=True)]
    width = sum(max(side + margin + 1.0, 3.6) for side, margin in zip(sides, margins, strict=True))
    height = max(max(side + margin + 0.2, 3.2) for side, margin in zip(sides, margins, strict=True))
    with plot_style():
        figure = Figure((width, height), dpi=DPI, layout="constrained" if len(panels) == 1 else "compressed")
        if title:
            figure.suptitle(clipped(title, TITLE_LENGTH), fontsize=10)
        drawn = figure.subplots(1, len(panels), squeeze=False)[0]
        for axes, panel, cell in zip(drawn, panels, cells, strict=True):
            _draw_matrix(figure, axes, panel, cell)
        # The layout is computed before the counts are added: measuring 10,000 texts takes seconds and changes nothing.
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        for axes, panel, cell in zip(drawn, panels, cells, strict=True):
            if len(panel.names) <= MOST_NAMED:
                size = float(np.clip(cell * 72 * 0.3, 4.2, 10.0))
                _write_cells(axes, panel.counts, panel.shares, size, percent=cell >= ROOMY)
        return figure_png(figure)


def _cell_size(names: int) -> float:
    """Return the side of a cell in inches."""
    return float(np.clip(9.0 / names, 0.17, 0.7)) if names <= MOST_NAMED else 10.0 / names


def _font_size(cell: float) -> float:
    return float(np.clip(cell * 72 * 0.55, 5.0, 10.0))


def _longest(panel: MatrixPanel) -> int:
    return max(len(clipped(name)) for name in panel.names)


def _draw_matrix(figure: Figure, axes: Axes, panel: MatrixPanel, cell: float) -> None:
    from matplotlib.colors import PowerNorm

    # The square root of the share, so that the rare mistakes of a class with high recall are visible.
    image = axes.imshow(panel.shares, cmap="Blues", norm=PowerNorm(0.5, 0, 1), interpolation="nearest")
    axes.set_xlabel(panel.columns, fontsize=10)
    axes.set_ylabel(panel.rows, fontsize=10)
    if len(panel.names) <= MOST_NAMED:
        _name_classes(axes, [clipped(name) for name in panel.names], _font_size(cell))
    bar = figure.colorbar(image, ax=axes, shrink=min(1.0, 3.0 / (cell * len(panel.names))), aspect=18, pad=0.02)
    bar.set_label(panel.colour, fontsize=8)
    bar.ax.tick_params(labelsize=8, length=2)
    bar.outline.set_visible(False)


def _write_cells(
    axes: Axes, matrix: npt.NDArray[np.int64], shares: npt.NDArray[np.float64], size: float, *, percent: bool
) -> None:
    for row, column in zip(*np.nonzero(matrix), strict=True):
        colour = "white" if shares[row, column] > 0.4 else "#16202b"
        text = _short(int(matrix[row, column]))
        if percent:
            text, size = f"{text}\n{shares[row, column]:.0%}", 8.0
        axes.text(column, row, text, ha="center", va="center", fontsize=size, color=colour, clip_on=False)


def _name_classes(axes: Axes, names: list[str], size: float) -> None:
    middles, borders = range(len(names)), np.arange(len(names) + 1) - 0.5
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks(middles, names, fontsize=size)
        axis.set_ticks(borders, minor=True)
    axes.tick_params(axis="x", rotation=90)
    axes.tick_params(which="both", length=0)
    axes.grid(which="minor", color="#d5dae0", linewidth=0.4)


def render_history(lines: Sequence[Mapping[str, Any]], best_epoch: int | None = None, title: str = "") -> bytes:
    """Return the training curves as PNG bytes, loss on the left."""
    from matplotlib.figure import Figure

    best = best_validation_epoch(lines) if best_epoch is None else best_epoch
    curves = curves_of(lines)
    with plot_style():
        figure = Figure(figsize=(4.8 * len(curves), 3.6), dpi=DPI, layout="constrained")
        if title:
            figure.suptitle(clipped(title, TITLE_LENGTH), fontsize=10)
        for axes, key in zip(figure.subplots(1, len(curves)), curves, strict=True):
            _panel(axes, lines, key, best)
        return figure_png(figure)


def best_validation_epoch(lines: Sequence[Mapping[str, Any]]) -> int | None:
    """Return the first epoch of the lowest validation loss, or None if there is no validation loss."""
    losses = [(plot_value(line.get("val_loss")), int(line["epoch"])) for line in lines]
    known = [(loss, epoch) for loss, epoch in losses if not math.isnan(loss)]
    return min(known)[1] if known else None


def plot_value(value: Any) -> float:
    """Return a value of `metrics.jsonl` for drawing; NaN, which is drawn as a gap, if it is missing or not finite."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else math.nan


def phase_borders(lines: Sequence[Mapping[str, Any]]) -> list[float]:
    """Return the positions on the epoch axis, between two epochs, at which a new phase begins."""
    return [
        (before["epoch"] + after["epoch"]) / 2
        for before, after in pairwise(lines)
        if before.get("phase") != after.get("phase")
    ]


def _panel(axes: Axes, lines: Sequence[Mapping[str, Any]], key: str, best: int | None) -> None:
    from matplotlib.ticker import MaxNLocator

    epochs = [int(line["epoch"]) for line in lines]
    marker = "o" if len(lines) <= 30 else None  # the line of one or two epochs is hard to see
    for name, label, colour in ((key, "training", TRAINING), ("val_" + key, "validation", VALIDATION)):
        values = [plot_value(line.get(name)) for line in lines]
        if key not in ("loss", "accuracy") and all(map(math.isnan, values)):  # training does not compute it
            continue
        axes.plot(epochs, values, color=colour, label=label, marker=marker, markersize=3)
        if name.startswith("val_") and best in epochs:
            axes.plot([best], [values[epochs.index(best)]], "o", color=colour, markersize=9, markerfacecolor="none")
    for number, border in enumerate(borders := phase_borders(lines)):
        label = "" if number else f"next phase, {1 + len(borders)} in all"
        axes.axvline(border, color=QUIET, linewidth=0.9, linestyle=(0, (4, 3)), label=label)
    if best in epochs:
        label = f"best: epoch {best}" if best else "best: the probe"
        axes.axvline(best, color=VALIDATION, linewidth=0.8, alpha=0.5, label=label)
    axes.set_title(CURVES[key], loc="left", fontsize=11)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(axis="y", color="#e6e9ed", linewidth=0.8)
    if key != "loss":
        axes.set_ylim(-0.02, 1.02)
    axes.legend(frameon=False, fontsize=8)


def _short(count: int) -> str:
    return str(count) if count < 10_000 else f"{count / 1000:.0f}k"


def rate_curve_png(points: Sequence[RatePoint], found: Suggestion | None, configured: float, title: str = "") -> bytes:
    """Return the loss over the learning rate as PNG bytes.

    found: None if no rate is suggested; configured: the rate in the config.
    """
    from matplotlib.figure import Figure

    finite = [point for point in points if math.isfinite(point.smoothed)]
    rates, smoothed = [point.learning_rate for point in finite], [point.smoothed for point in finite]
    with plot_style():
        figure = Figure(figsize=(7.2, 4.0), dpi=DPI, layout="constrained")
        axes = figure.add_subplot()
        if title:
            figure.suptitle(clipped(title, TITLE_LENGTH), fontsize=10)
        axes.plot(rates, [point.loss for point in finite], color=TRAINING, alpha=0.3, linewidth=0.9, label="loss")
        axes.plot(rates, smoothed, color=TRAINING, label="smoothed loss")
        axes.axvline(configured, color=QUIET, linewidth=0.9, linestyle=(0, (4, 3)), label=f"config: {configured:g}")
        if found is not None:
            axes.axvline(found.tenth, color=VALIDATION, label=f"suggested: {found.tenth:.2g}")
            axes.axvline(
                found.steepest, color=VALIDATION, linewidth=0.9, alpha=0.5, label=f"steepest: {found.steepest:.2g}"
            )
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda rate, _: f"{rate:g}")
        if smoothed:
            low, high = min(smoothed), max(smoothed[0], min(smoothed))
            axes.set_ylim(low - 0.15 * (high - low) - 0.01, high + 0.6 * (high - low) + 0.01)
        axes.set_xlabel("learning rate")
        axes.set_ylabel("training loss")
        axes.grid(axis="y", color="#e6e9ed", linewidth=0.8)
        axes.legend(frameon=False, fontsize=8)
        return figure_png(figure)


@contextmanager
def plot_style() -> Iterator[None]:
    """Set Matplotlib's settings to STYLE while drawing."""
    import matplotlib

    with matplotlib.rc_context(STYLE), warnings.catch_warnings():  # type: ignore[arg-type]
        # Ignore the warning about letters that the font does not have: they are drawn as boxes.
        warnings.simplefilter("ignore", UserWarning)
        yield


def figure_png(figure: Figure) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    # `savefig` would draw everything twice and write the software's name into the file.
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    buffer = io.BytesIO()
    Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3]).save(buffer, "PNG", dpi=(DPI, DPI))
    return buffer.getvalue()
