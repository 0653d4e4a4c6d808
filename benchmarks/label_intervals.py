"""Coverage of the 95% intervals of the metrics of several labels. Images are simulated, so the truth is known.

Usage: python -m benchmarks.label_intervals [--trials N]

Prints one Markdown table: a row for each metric and a column for each design, with the share of trials whose interval
holds the metric's value in 400,000 images, and in brackets the share of trials that have an interval, if not all have.
Seeds are fixed.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from transfercli.evaluation.multilabel.intervals import label_intervals
from transfercli.evaluation.multilabel.metrics import LABEL_METRICS, PER_LABEL
from transfercli.evaluation.multilabel.predictions import LabelPredictions

LABELS = ("a", "b", "c", "d", "e")
SHARES = np.array([0.05, 0.1, 0.2, 0.3, 0.5])  # of images that have each label
ACROSS = np.sqrt(0.5)  # standard deviation of what the labels of an image, or of a group of images, have in common
MANY = 400_000


@dataclass(frozen=True)
class Design:
    """A test set. size: images of a group; unknown: share of targets that nobody knows."""

    images: int
    size: int = 1
    unknown: float = 0.0

    def __str__(self) -> str:
        groups = f" in groups of {self.size}" if self.size > 1 else ""
        return f"{self.images} images{groups}" + (f", {self.unknown:.0%} unknown" if self.unknown else "")


DESIGNS = (Design(60), Design(200), Design(200, unknown=0.4), Design(400, size=8))


def simulate(images: int, size: int, unknown: float, rng: np.random.Generator) -> LabelPredictions:
    """Return predictions whose targets and logits depend on each other within an image and within a group."""
    group = np.arange(images) // size
    common = ACROSS * rng.normal(size=(group[-1] + 1, 1))[group]
    latent = common + np.sqrt(1 - ACROSS**2) * rng.normal(size=(images, len(LABELS)))
    from scipy.special import expit, ndtri

    targets = (latent > ndtri(1 - SHARES)).astype(int)
    logits = 2 * targets - 1 + np.log(SHARES / (1 - SHARES)) + rng.normal(size=targets.shape) + 0.4 * common
    targets = np.where(rng.random(targets.shape) < unknown, -1, targets)
    groups = tuple(map(str, group)) if size > 1 else ()
    paths = tuple(map(str, range(images)))
    return LabelPredictions(paths, LABELS, targets, expit(logits), np.full(len(LABELS), 0.5), groups)


def true_values(design: Design) -> dict[str, float]:
    """Return every metric of the split and of each label, of many images."""
    predictions = simulate(MANY, design.size, design.unknown, np.random.default_rng(0))
    values = {name: float(row.value(predictions)) for name, row in LABEL_METRICS.items()}
    for name, row in PER_LABEL.items():
        values |= {f"{name}[{label}]": float(v) for label, v in zip(LABELS, row.value(predictions), strict=True)}
    return values


def coverage(design: Design, trials: int) -> dict[str, tuple[float, float]]:
    """Return the share of intervals that hold the true value, and of trials that have an interval, by metric."""
    truth = true_values(design)
    held, found = dict.fromkeys(truth, 0), dict.fromkeys(truth, 0)
    for trial in range(trials):
        rng = np.random.default_rng((1, trial))
        bounds = label_intervals(simulate(design.images, design.size, design.unknown, rng), seed=trial)
        for name, (low, high) in bounds.items():
            found[name] += 1
            held[name] += low <= truth[name] <= high
    return {name: (held[name] / max(found[name], 1), found[name] / trials) for name in truth}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=200)
    trials = parser.parse_args(arguments).trials
    columns = {str(design): coverage(design, trials) for design in DESIGNS}
    print("| metric |", " | ".join(columns), "|")
    print("| --- |", " | ".join("---:" for _ in columns), "|")
    for name in next(iter(columns.values())):
        cells = [
            f"{held:.3f}" + (f" ({share:.0%})" if share < 1 else "")
            for held, share in (column[name] for column in columns.values())
        ]
        print(f"| {name} |", " | ".join(cells), "|")


if __name__ == "__main__":
    main()
