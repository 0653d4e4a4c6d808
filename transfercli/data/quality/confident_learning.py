"""Confident learning: labels that contradict cross-validated predictions (Northcutt, Jiang & Chuang 2021, JAIR 70).

Same result as cleanlab's `find_label_issues(filter_by="confident_learning")`, without its dependency on pandas. One
difference, which follows the paper: if an image is confidently of several classes, the most probable of those is used,
not the most probable of all classes.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from transfercli.reporting import Reporter

Floats = npt.NDArray[np.floating]
Integers = npt.NDArray[np.integer]

_ROUNDING = 1e-6


def find_suspects(probabilities: Floats, targets: Integers) -> tuple[Integers, Integers]:
    """Return the rows of likely label errors and the suggested class of each, most likely first.

    An image is confidently of a class if its probability for it is at least the mean probability of the images with
    this label. It is a likely label error if it is confidently of another class than its label, and its label is not
    the most probable class either. Rank: the normalized margin, which is the probability of the label minus that of the
    most probable other class.

    Args:
        probabilities: [N, C], each image predicted by a model that was not trained on it.
        targets: [N], class indices of the labels.
    """
    rows = np.arange(len(targets))
    own = probabilities[rows, targets]
    sums = np.bincount(targets, own, minlength=probabilities.shape[1])
    counts = np.bincount(targets, minlength=probabilities.shape[1])
    # A class without images, or with zero probabilities, has no threshold.
    thresholds = np.where(sums > 0, sums / np.maximum(counts, 1), np.inf)
    confident = np.where(probabilities >= thresholds - _ROUNDING, probabilities, -1.0)
    suggested = np.where(confident.max(axis=1) >= 0, confident.argmax(axis=1), targets)
    suspects = np.flatnonzero((suggested != targets) & (probabilities.argmax(axis=1) != targets))
    others = probabilities[suspects]
    others[np.arange(len(suspects)), targets[suspects]] = -1.0
    order = suspects[np.argsort(own[suspects] - others.max(axis=1), kind="stable")]
    return order, suggested[order]


def cross_validated(features: Floats, targets: Integers, folds: Integers, reporter: Reporter) -> Floats:
    """Return class probabilities of each image, float64 [N, C], by logistic regression on the other folds.

    An image whose class is missing in the other folds gets probability 1 for its label.

    Args:
        features: float [N, d]. They are centred and divided by a single number; scaling each feature to unit variance
            would amplify uninformative ones, and reduces accuracy with few images.
        folds: [N], the fold of each image.
    """
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    scaled = features - features.mean(axis=0)
    scaled /= max(float(scaled.std()), 1e-12)
    probabilities = np.zeros((len(targets), int(targets.max()) + 1))
    probabilities[np.arange(len(targets)), targets] = 1.0
    numbers = np.unique(folds)
    for done, fold in enumerate(numbers, start=1):
        train, held = folds != fold, folds == fold
        classes = np.unique(targets[train])
        held &= np.isin(targets, classes)
        if len(classes) > 1 and held.any():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)  # an approximate fit is sufficient here
                model = LogisticRegression(max_iter=200).fit(scaled[train], targets[train])
            probabilities[held] = 0.0
            probabilities[np.ix_(held, classes)] = model.predict_proba(scaled[held])
        reporter.progress("cross-validate", done, len(numbers), "folds")
    return probabilities
