"""Estimates of the accuracy from confidence alone, and the map that calibrates it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from transfercli.evaluation.monitoring.answered_images import (
    AnsweredImages,
    Array,
    LabelledAnswers,
    from_log_odds,
    log_odds,
)

PRIOR = 1.0  # weight of the prior that certainties are calibrated already
STEPS = 25  # of Newton's method, which needs about six
SMALLEST_STEP = 1e-3


@dataclass(frozen=True, slots=True)
class CertaintyMap:
    """Platt's map of the certainty of a decision to the probability that it is right (Platt 1999).

    Its parameters are shrunk to those that change nothing, because the probabilities are calibrated already, but on
    few images and on all classes at once.
    """

    slope: float = 1.0
    offset: float = 0.0

    @classmethod
    def fit(cls, held_out: LabelledAnswers) -> CertaintyMap:
        """Fit the map to the decisions whose truth is known, by penalised maximum likelihood."""
        known = held_out.known
        inputs = log_odds(held_out.answers.certainty[known])
        right = held_out.right[known].astype(np.float64)
        design = np.stack([inputs, np.ones(len(inputs))], axis=1)
        identity = parameters = np.array([1.0, 0.0])

        def loss(values: Array) -> float:
            odds = design @ values
            return float((np.logaddexp(0, odds) - right * odds).sum() + PRIOR / 2 * np.square(values - identity).sum())

        for _ in range(STEPS):
            fitted = from_log_odds(design @ parameters)
            gradient = design.T @ (fitted - right) + PRIOR * (parameters - identity)
            curvature = (design * (fitted * (1 - fitted))[:, None]).T @ design + PRIOR * np.eye(2)
            step, size = np.linalg.solve(curvature, gradient), 1.0
            # A whole step may overshoot, and then diverge, if the certainties are far from calibrated.
            while size > SMALLEST_STEP and loss(parameters - size * step) > loss(parameters):
                size /= 2
            parameters = parameters - size * step
        return cls(float(parameters[0]), float(parameters[1]))

    def right(self, answers: AnsweredImages) -> Array:
        """Return the probability that each decision is right, the shape of `certainty`."""
        return from_log_odds(self.slope * log_odds(answers.certainty) + self.offset)


def average_confidence(answers: AnsweredImages) -> float:
    """Return the mean certainty: the accuracy of a model that is calibrated on these images."""
    return float(answers.certainty.mean())


def calibrated_confidence(held_out: LabelledAnswers, recent: AnsweredImages) -> float:
    """Return the mean probability of a right decision, calibrated on held-out images (CBPE, NannyML)."""
    return float(CertaintyMap.fit(held_out).right(recent).mean())


def difference_of_confidences(held_out: LabelledAnswers, recent: AnsweredImages) -> float:
    """Return the held-out accuracy, less the fall of the mean certainty (Guillory et al. 2021)."""
    fall = float(held_out.answers.certainty.mean()) - average_confidence(recent)
    return float(np.clip(held_out.accuracy() - fall, 0.0, 1.0))


def thresholded_confidence(held_out: LabelledAnswers, recent: AnsweredImages, score: str) -> float:
    """Return the share of decisions above a threshold, above which as many held-out ones are as are right.

    The average thresholded confidence (Garg et al. 2022, "Leveraging unlabeled data to predict out-of-distribution
    performance"). score: a key of `SCORES`.
    """
    rule = SCORES[score]
    values = np.sort(rule(held_out.answers)[held_out.known])
    wrong = 1 - held_out.accuracy()
    threshold = values[min(len(values) - 1, round(wrong * len(values)))]
    return float((rule(recent) >= threshold).mean())


def _negative_entropy(answers: AnsweredImages) -> Array:
    """Return minus the entropy of each decision in nats: of all classes [N, 1], or of each label [N, L]."""
    probabilities = np.clip(answers.probabilities, 1e-12, 1.0)
    if answers.several:
        others = np.clip(1 - answers.probabilities, 1e-12, 1.0)
        return probabilities * np.log(probabilities) + others * np.log(others)
    sums: Array = (probabilities * np.log(probabilities)).sum(axis=1, keepdims=True)
    return sums


SCORES = {"maximum": lambda answers: answers.certainty, "entropy": _negative_entropy}
