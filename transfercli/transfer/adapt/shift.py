"""Shift between two domains: how well their features are told apart, beyond other shares of the classes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SAME_UP_TO = 0.6  # area under the ROC curve; a smaller shift leaves alignment nothing to gain
ERRORS = 2.0  # standard errors by which the area must be larger
FOLDS = 5
PENALTY = 10.0  # scikit-learn's C of the domain classifier, on rows of unit mean square distance
LEAST_RATIO = 0.05  # of a class's shares, so that every image of the source counts


@dataclass(frozen=True)
class Shift:
    """Area under the ROC curve of a domain classifier, out of fold, and its standard error; 0.5: nothing differs."""

    area: float
    error: float

    @property
    def shown(self) -> bool:
        """The domains differ by more than chance, and enough for alignment to pay."""
        return self.area - ERRORS * self.error > SAME_UP_TO


def measure_shift(source: np.ndarray, target: np.ndarray, weights: np.ndarray, seed: int) -> Shift:
    """Return the shift between features of two domains, float32 [N, D] and [M, D], by cross-validation.

    weights: float64 [N], of the source's images: ratios of the classes' shares in the target to those in the source, so
    that other shares alone are no shift.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold

    least = min(len(source), len(target))
    if least < 2:
        return Shift(0.5, 0.5)
    weights = np.maximum(weights, LEAST_RATIO)
    rows = np.concatenate([source, target])
    rows = rows - rows.mean(axis=0)
    rows /= np.sqrt((rows**2).sum(axis=1).mean()) or 1.0
    domain = np.repeat([0, 1], [len(source), len(target)])
    weights = np.concatenate([weights / weights.sum(), np.full(len(target), 1 / len(target))]) * len(rows) / 2
    scores = np.empty(len(rows))
    for trained, held in StratifiedKFold(min(FOLDS, least), shuffle=True, random_state=seed).split(rows, domain):
        classifier = LogisticRegression(C=PENALTY, max_iter=200)
        classifier.fit(rows[trained], domain[trained], weights[trained])
        scores[held] = classifier.decision_function(rows[held])
    area = float(roc_auc_score(domain, scores, sample_weight=weights))
    return Shift(area, _error(area, len(source), len(target)))


def _error(area: float, negatives: int, positives: int) -> float:
    """Return the standard error of an area under the ROC curve (Hanley & McNeil 1982)."""
    area = min(max(area, 0.5), 1 - 1e-3)
    first, second = area / (2 - area), 2 * area**2 / (1 + area)
    spread = (positives - 1) * (first - area**2) + (negatives - 1) * (second - area**2)
    return float(np.sqrt((area * (1 - area) + spread) / (positives * negatives)))


def class_ratios(targets: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Return for each image the share of its class in a target over that in its own domain, float64 [N].

    targets: int [N], the labels; predicted: int [M], labels of the target's images, or classes that a head predicts.
    """
    own = np.bincount(targets, minlength=classes) / len(targets)
    other = np.bincount(predicted, minlength=classes) / len(predicted)
    ratios: np.ndarray = other[targets] / own[targets]
    # A target of absent classes alone would leave no image a weight.
    return ratios if ratios.any() else np.ones(len(targets))
