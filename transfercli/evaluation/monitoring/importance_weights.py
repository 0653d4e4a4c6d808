"""Importance weights: how much more frequent the like of a held-out image is among recent images.

By features for a covariate shift, and by classes for a shift of the class mix.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from transfercli.evaluation.monitoring.answered_images import AnsweredImages, Array, LabelledAnswers

COMPONENTS = 20  # principal components of the features that the domain classifier reads
PENALTY = 0.05  # inverse strength of its L2 penalty
ROUNDS = 200  # of expectation maximisation
_SMOOTH = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """Weights of N held-out images, float64 [N]."""

    values: Array

    @property
    def effective_images(self) -> float:
        """The number of equally weighted images that have the same variance (Kish 1965)."""
        return float(self.values.sum() ** 2 / np.square(self.values).sum())

    def accuracy(self, held_out: LabelledAnswers) -> float:
        """Return the weighted held-out accuracy (Shimodaira 2000)."""
        return held_out.accuracy(self.values)


def feature_weights(held_out: AnsweredImages, recent: AnsweredImages) -> Weights:
    """Return density ratios by a domain classifier on the largest components of the features (Bickel et al. 2009)."""
    from sklearn.linear_model import LogisticRegression

    own, new = (answers.features.astype(np.float64) for answers in (held_out, recent))
    mean = own.mean(axis=0)
    _, sizes, axes = np.linalg.svd(own - mean, full_matrices=False)
    kept = sizes > 1e-6 * max(1e-12, float(sizes[0]))
    kept[COMPONENTS:] = False
    if not kept.any():
        return Weights(np.ones(len(own)))
    scale = axes[kept].T * np.sqrt(len(own)) / sizes[kept]
    rows = np.concatenate([own - mean, new - mean]) @ scale
    domains = np.repeat([0, 1], [len(own), len(new)])
    classifier = LogisticRegression(C=PENALTY, max_iter=300).fit(rows, domains)
    odds = classifier.decision_function(rows[: len(own)])
    return Weights(np.exp(odds - odds.max()))


def class_shares(held_out: LabelledAnswers, recent: AnsweredImages) -> Array:
    """Return the share of each class among recent images, float64 [C], if only the class mix has shifted.

    By expectation maximisation (Saerens et al. 2002), which asks for calibrated probabilities.
    """
    counts = (held_out.truth == 1).sum(axis=0) + _SMOOTH
    shares = before = counts / counts.sum()
    for _ in range(ROUNDS):
        posterior = recent.probabilities * (shares / before) + 1e-300
        shares = (posterior / posterior.sum(axis=1, keepdims=True)).mean(axis=0)
    return shares


def class_weights(held_out: LabelledAnswers, recent: AnsweredImages) -> Weights:
    """Return the ratio of the shares of each held-out image's class among recent and held-out images."""
    before = (held_out.truth == 1).mean(axis=0)
    ratios = class_shares(held_out, recent) / np.maximum(before, _SMOOTH)
    return Weights(ratios[(held_out.truth == 1).argmax(axis=1)])
