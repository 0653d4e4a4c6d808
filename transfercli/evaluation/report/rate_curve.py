"""Picture of a learning-rate range test: the loss over the rate, with the suggested rates."""

from __future__ import annotations

import math
from collections.abc import Sequence
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

if TYPE_CHECKING:
    from transfercli.training.range_test import RatePoint, Suggestion


def rate_curve_png(points: Sequence[RatePoint], found: Suggestion | None, configured: float, title: str = "") -> bytes:
    """Return the curve as PNG bytes. found: None if no rate is suggested; configured: the rate in the config."""
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
