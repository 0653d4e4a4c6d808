"""Choice of images to label, from the features and predictions of a run's network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from transfercli.reporting import Reporter
from transfercli.workflows.data.image_features import LayerFeatures
from transfercli.workflows.data.labelled_images import LabelledImages
from transfercli.workflows.data.unlabelled_pool import UnlabelledPool
from transfercli.workflows.stored_run import StoredRun

if TYPE_CHECKING:
    from transfercli.transfer.labelling.pool import Pool

AUTO = "auto"
FEW = 5  # labelled images a class, below which typical images are chosen; measured: benchmarks/RESULTS.md, "data next"
EARLY, LATE = "typical_margin", "diverse_margin"


@dataclass(frozen=True)
class ChosenImage:
    """Image to label. path: below the folder; rank: from 1; guess, probability: the most probable class; score: of the
    method, higher first; reason: in words."""

    path: str
    rank: int
    guess: str
    probability: float
    score: float
    reason: str


def labelling_pool(run: StoredRun, unlabelled: LayerFeatures, labelled: LabelledImages) -> Pool:
    """Return the images to choose from; the vector of each layer has unit length, as in a multilayer head."""
    from transfercli.models.normalised import normalised
    from transfercli.transfer.labelling.pool import Pool

    how = "root" if run.classifier.normalisation == "none" else run.classifier.normalisation

    def unit(layers: LayerFeatures) -> np.ndarray:
        return normalised(layers.features, layers.widths, how)

    known = np.zeros((0, unlabelled.features.shape[1]), np.float32)
    if labelled.features is not None:
        known = unit(labelled.features)
    return Pool(unit(unlabelled), unlabelled.probabilities, known, labelled.counts)


def method_for(by: str, pool: Pool) -> str:
    """Return the method that `auto` stands for, by the number of labelled images a class; other names stay."""
    if by != AUTO:
        return by
    return EARLY if pool.label_counts.mean() < FEW else LATE


def choose(
    run: StoredRun, pool: Pool, images: UnlabelledPool, budget: int, method: str, reporter: Reporter
) -> tuple[np.ndarray, tuple[ChosenImage, ...]]:
    """Return the rows of the chosen images, int [B], and the images, the most useful first."""
    from transfercli.transfer.labelling.selection import select

    choice = select(pool, budget, method, images.copies, run.config.seed, reporter)
    chosen = tuple(
        ChosenImage(
            images.split.paths[row],
            rank,
            run.labels[pool.guesses[row]],
            float(pool.probabilities[row].max()),
            float(score),
            REASONS[method](pool.probabilities[row], float(score), run.labels),
        )
        for rank, (row, score) in enumerate(zip(choice.rows, choice.scores, strict=True), start=1)
    )
    return choice.rows, chosen


def _two_guesses(probabilities: np.ndarray, score: float, labels: tuple[str, ...]) -> str:
    first, second = np.argsort(-probabilities, kind="stable")[:2]
    return f"{labels[first]} {probabilities[first]:.0%} or {labels[second]} {probabilities[second]:.0%}"


# Method -> the reason in words, of the probabilities of an image, its score and the labels.
REASONS: dict[str, Callable[[np.ndarray, float, tuple[str, ...]], str]] = {
    "margin": _two_guesses,
    "entropy": _two_guesses,
    "badge": _two_guesses,
    "typical_margin": _two_guesses,
    "diverse_margin": _two_guesses,
    "kcentre": lambda _p, score, _l: f"{score:.2f} away from all labelled and chosen images",
    "typiclust": lambda _p, _score, _l: "typical of a cluster of images with few labels",
    "probcover": lambda _p, score, _l: f"{score:.0f} images are near it, and near no label",
    "random": lambda _p, _score, _l: "chosen at random",
}
