"""Choice of the out-of-distribution score: classes of the run are left out, and each score tries to find them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from transfercli.models.unknown.score import UnknownScore, energies
from transfercli.rows import ArrayRows
from transfercli.transfer.probe.families import family_of
from transfercli.transfer.probe.logistic import fit
from transfercli.transfer.probe.row_space import coordinates
from transfercli.transfer.unknown.fit import DEFAULT, SCORES, Known, fit_score, fit_space

LEFT_OUT = 5  # most classes that are left out, one after the other
FEWEST = 5  # images of a class that are needed, in training and in validation
STRENGTH = 10.0  # of the linear head without the class
TOLERANCE = 1e-4


def choose_score(training: Known, validation: Known, seed: int) -> UnknownScore:
    """Return the score that separates left-out classes best, fitted to all images; the default if none can be left out.

    Another score than the default is chosen only if it is better by more than the standard error of the difference
    over the classes. With two classes, or too few images, no class can be left out, and the default is returned. So it
    is with several labels per image, as images that lack one label say too little about those that have an unknown one
    (benchmarks/RESULTS.md). The same arguments give the same score.
    """
    table = separations(training, validation, seed)
    name = DEFAULT
    if table and training.targets.ndim == 1:
        best = max(SCORES, key=lambda score: float(np.mean(table[score])))
        gains = np.subtract(table[best], table[DEFAULT])
        error = float(gains.std(ddof=1)) / len(gains) ** 0.5 if len(gains) > 1 else np.inf
        name = best if gains.mean() > error else DEFAULT
    space = fit_space(training.features, training.targets, seed)
    means = {score: float(np.mean(values)) for score, values in table.items()}
    return replace(fit_score(name, space, validation), separation=means)


def separations(training: Known, validation: Known, seed: int) -> dict[str, list[float]]:
    """Return score -> AUROC for each class left out: its validation images against those of the other classes.

    Each time the distances and a linear head are fitted without the class. Empty if no class can be left out.
    """
    table: dict[str, list[float]] = {}
    for left_out in _classes_to_leave_out(training, validation, seed):
        (kept, _), (known, unknown) = (_without_and_with(each.targets, left_out) for each in (training, validation))
        space = fit_space(training.features[kept], training.targets[kept], seed)
        kernel, bias = fit_head(space.coordinates(training.features[kept]), training.targets[kept])
        energy = energies(space.coordinates(validation.features) @ kernel + bias)
        familiar = Known(validation.features[known], energy[known], validation.targets[known])
        for name in SCORES:
            scores = fit_score(name, space, familiar).scores(validation.features, energy)
            table.setdefault(name, []).append(auroc(scores[known], scores[unknown]))
    return table


def auroc(known: np.ndarray, unknown: np.ndarray) -> float:
    """Return the probability that an unknown image has a higher score than a known one; a tie counts one half."""
    from scipy.stats import rankdata

    ranks = rankdata(np.concatenate([known, unknown]))
    wins = ranks[len(known) :].sum() - len(unknown) * (len(unknown) + 1) / 2
    return float(wins / (len(known) * len(unknown)))


def _classes_to_leave_out(training: Known, validation: Known, seed: int) -> list[int]:
    """Return the classes, in a random order that follows from the seed; none unless three classes have images.

    A label is left out like a class: with all images that have it.
    """
    several = training.targets.ndim == 2
    classes = np.arange(training.targets.shape[1]) if several else np.unique(training.targets)
    enough = [
        int(label)
        for label in classes
        if min(mask.sum() for each in (training, validation) for mask in _without_and_with(each.targets, int(label)))
        >= FEWEST
    ]
    if len(classes) < 3 or len(enough) < 2:
        return []
    return [int(label) for label in np.random.default_rng(seed).permutation(enough)[:LEFT_OUT]]


def _without_and_with(targets: np.ndarray, label: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the images of other classes, or known to lack the label, and those that have it; bool [N] both."""
    if targets.ndim == 2:
        return targets[:, label] == 0, targets[:, label] == 1
    return targets != label, targets == label


def fit_head(rows: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return kernel [P, C] and bias [C] of a linear head that is fitted to rows [M, P] with targets as in `Known`.

    C is the number of classes with images, or of labels that some of the images have and others have not.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, "blas"):
        space = coordinates(ArrayRows(rows))
        problem = family_of(targets).problem(space.rows, targets, None, None)
        theta = fit(problem, problem.start(), STRENGTH, TOLERANCE)[:, 0]
        return space.to_feature_space(theta)
