"""Probability that each label is wrong, from the predictions of a model that was not trained on the image.

A prediction that contradicts its label has two explanations: a wrong label, or a model that confuses the two classes.
Both are fitted at once. The given label of an image of class i is j with probability `flips[i, j]`, and the true class
follows the model's probabilities at some temperature. Wrong labels are those that are too many for a model as unsure
as this one: a model that is right on 60% of good labels explains all of its mistakes, and doubts hardly any label.

The model of noise is that of Patrini et al. 2017 ("Making deep neural networks robust to label noise"), fitted by
expectation maximisation (Dempster et al. 1977). Confident learning (Northcutt, Jiang & Chuang 2021) counts each
prediction above a class's mean as evidence; benchmarks/mislabelled.py compares both.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
Integers = npt.NDArray[np.integer]

DOUBTFUL = 0.5  # a label is doubted if it is more likely wrong than right
CERTAIN = 0.999  # the highest probability that is given
# Weight of the assumption that few labels are wrong, in images with a right label.
RIGHT_LABELS = 50
# Weight of the assumption that wrong labels spread evenly over the other classes, in images of a class: this for each
# pair of classes, and the number that the model is expected to get wrong. Only a model that separates two classes can
# see flips between them.
EVEN_SPREAD = 0.03
# Share of images that a model gets wrong without its probabilities showing it, over the square of its expected error.
# Measured: benchmarks/RESULTS.md, "Likely mislabelled".
HIDDEN_ERRORS = 0.7
SPREAD = 0.5  # standard deviation of the prior of the temperature's logarithm
TEMPERATURES = np.exp(np.linspace(-1.6, 0.8, 9))
REFINED = np.exp(np.linspace(-0.225, 0.225, 7))  # factors of the best of these
ITERATIONS = 25
FITTED = 2**22  # most images x classes that the noise is fitted to
BLOCK = 2**20  # most images x classes at a time


@dataclass(frozen=True, eq=False)
class LabelNoise:
    """Wrong labels among N images of C classes.

    Attributes:
        wrong: float64 [N], the probability that each label is wrong.
        right: float64 [N], the probability that it is right before limits apply; it orders images without ties.
        suggested: int [N], the most probable class other than the label.
        suggestion: float64 [N], its probability.
        accuracy: the share of images whose true class the model is expected to predict.
        agreement: the share of labels that it predicts.
    """

    wrong: Floats
    right: Floats
    suggested: Integers
    suggestion: Floats
    accuracy: float
    agreement: float

    def doubted(self) -> Integers:
        """Return the images whose label is more likely wrong than right, those with the strongest evidence first.

        The evidence has no limit by the size of a class, so its order differs from that of `wrong` between classes.
        """
        order = np.argsort(self.right, kind="stable")
        return order[self.wrong[order] > DOUBTFUL]

    def most_likely_first(self, images: Integers) -> Integers:
        """Return images in the order of the probability that their label is wrong."""
        return images[np.argsort(-self.wrong[images], kind="stable")]


@dataclass(frozen=True, eq=False)
class _Fit:
    """Temperature, probability flips float64 [C, C] of each given label by true class, and minus the log posterior."""

    temperature: float
    flips: Floats
    cost: float


def label_noise(log_probabilities: Floats, targets: Integers) -> LabelNoise:
    """Return the probability that each label is wrong.

    log_probabilities: [N, C], finite, of a model that was not trained on the image; targets: int [N], the given labels.
    """
    count, classes = log_probabilities.shape
    some = np.sort(np.random.default_rng(0).permutation(count)[: max(1, FITTED // classes)])
    fitted = _fit(log_probabilities[some], targets[some])
    rate = float(1 - np.diag(fitted.flips).mean())
    # Flips between two classes may be mistakes that the model has in common with its probabilities: half the weight.
    flips = (fitted.flips + _even_flips(classes, rate)) / 2
    right, suggestion, sure = np.empty(count), np.empty(count), np.empty(count)
    suggested = np.empty(count, np.int64)
    rows = max(1, BLOCK // classes)
    for block in (slice(start, start + rows) for start in range(0, count, rows)):
        model = _softmax(log_probabilities[block], fitted.temperature)
        posterior = model * flips.T[targets[block]]
        posterior /= posterior.sum(axis=1, keepdims=True)
        images = np.arange(len(model))
        sure[block], right[block] = model.max(axis=1), posterior[images, targets[block]]
        posterior[images, targets[block]] = -1.0
        suggested[block], suggestion[block] = posterior.argmax(axis=1), posterior.max(axis=1)
    accuracy = float(sure.mean())
    expected = max(float((1 - right).mean()), 1e-12)
    hidden = min(1.0, HIDDEN_ERRORS * (1 - accuracy) ** 2 / expected)
    # N images of a class cannot prove more than (N + 1) / (N + 2), the rule of succession.
    sizes = np.bincount(targets, minlength=classes)[targets]
    most = np.minimum(CERTAIN, (sizes + 1) / (sizes + 2)) * (1 - hidden)
    return LabelNoise(
        most * (1 - right),
        right,
        suggested,
        most * suggestion,
        accuracy,
        float((log_probabilities.argmax(axis=1) == targets).mean()),
    )


def _fit(log_probabilities: Floats, targets: Integers) -> _Fit:
    """Return the most probable temperature and flips."""
    order = np.argsort(targets, kind="stable")
    sorted_targets, logits = targets[order], log_probabilities[order]
    # Both explanations, a sharp model with wrong labels and a soft one without, can be locally best: all are tried.
    best = min((_fit_flips(logits, sorted_targets, value) for value in TEMPERATURES), key=lambda fit: fit.cost)
    refined = (_fit_flips(logits, sorted_targets, best.temperature * factor) for factor in REFINED)
    return min(refined, key=lambda fit: fit.cost)


def _fit_flips(logits: Floats, targets: Integers, temperature: float) -> _Fit:
    """Return the most probable flips at a temperature; images are sorted by target."""
    model = _softmax(logits, temperature)
    count, classes = model.shape
    bounds = np.searchsorted(targets, np.arange(classes + 1))
    by_label = [model[start:stop] for start, stop in pairwise(bounds)]
    weight = EVEN_SPREAD * classes**2 + (model * (1 - model)).sum(axis=0)[:, None]
    even = flips = _even_flips(classes, 0.03)
    log_likelihood = 0.0
    for _ in range(ITERATIONS):
        found, log_likelihood = np.zeros((classes, classes)), 0.0
        for label, images in enumerate(by_label):
            totals = images @ flips[:, label]
            found[:, label] = flips[:, label] * ((1 / totals) @ images)
            log_likelihood += float(np.log(totals).sum())
        wrong = found.sum() - np.trace(found)
        even = _even_flips(classes, max(wrong / (count + RIGHT_LABELS), 1e-9))
        flips = found + weight * even
        flips /= flips.sum(axis=1, keepdims=True)
    divergence = float((weight * even * np.log(even / flips)).sum())
    cost = divergence - log_likelihood + (np.log(temperature) / SPREAD) ** 2 / 2
    return _Fit(float(temperature), flips, cost)


def _even_flips(classes: int, rate: float) -> Floats:
    """Return flips [C, C] in which a share `rate` of each class has a wrong label, of each other class alike."""
    flips = np.full((classes, classes), rate / max(classes - 1, 1))
    np.fill_diagonal(flips, 1 - rate)
    return flips


def _softmax(logits: Floats, temperature: float) -> Floats:
    scaled = logits.astype(np.float64) / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    exponentials = np.exp(scaled, out=scaled)
    exponentials /= exponentials.sum(axis=1, keepdims=True)
    return exponentials
