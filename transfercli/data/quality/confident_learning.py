"""Confident learning: which labels do not fit what the other images say (Northcutt, Jiang & Chuang 2021, JAIR 70).

What cleanlab's `find_label_issues(filter_by="confident_learning")` finds, without cleanlab's pandas. One deviation,
towards the paper: where an image is confidently of several classes, the likeliest of those is taken, not of all.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from transfercli.reporting import Reporter

Floats = npt.NDArray[np.floating]
Integers = npt.NDArray[np.integer]

_ROUNDING = 1e-6


def suspects(probabilities: Floats, targets: Integers) -> tuple[Integers, Integers]:
    """Rows that are likely mislabelled, and the class that each is likely of; the surest first.

    An image is confidently of a class where it gets at least the probability that the images with this label get for
    it on average. It is suspected where that points to another class than its label, and the label is not the
    likeliest either. Ranked by the normalized margin, the label's probability less that of the likeliest other class.

    Args:
        probabilities: [N, C], of a model that has not seen the image it predicts.
        targets: [N], the labels as given, indices of classes.
    """
    rows = np.arange(len(targets))
    own = probabilities[rows, targets]
    sums = np.bincount(targets, own, minlength=probabilities.shape[1])
    counts = np.bincount(targets, minlength=probabilities.shape[1])
    # A class without images, or without a chance, has nothing to be confident by.
    thresholds = np.where(sums > 0, sums / np.maximum(counts, 1), np.inf)
    confident = np.where(probabilities >= thresholds - _ROUNDING, probabilities, -1.0)
    guess = np.where(confident.max(axis=1) >= 0, confident.argmax(axis=1), targets)
    found = np.flatnonzero((guess != targets) & (probabilities.argmax(axis=1) != targets))
    others = probabilities[found]
    others[np.arange(len(found)), targets[found]] = -1.0
    order = found[np.argsort(own[found] - others.max(axis=1), kind="stable")]
    return order, guess[order]


def cross_validated(features: Floats, targets: Integers, folds: Integers, reporter: Reporter) -> Floats:
    """float64 [N, C]: each image's class probabilities by a logistic regression on the images of the other folds.

    An image whose class the other folds do not show is taken at its word: nothing could be said of it.

    Args:
        features: float [N, d]. They are centred and divided by one number: bringing each to the same spread would
            blow up those that say little, and costs accuracy where images are few.
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
                warnings.simplefilter("ignore", ConvergenceWarning)  # near enough is as good here
                model = LogisticRegression(max_iter=200).fit(scaled[train], targets[train])
            probabilities[held] = 0.0
            probabilities[np.ix_(held, classes)] = model.predict_proba(scaled[held])
        reporter.progress("cross-validate", done, len(numbers), "folds")
    return probabilities
