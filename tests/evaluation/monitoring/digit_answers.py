"""Answers of a small network to real digits, as they are and under known shifts, and estimators made from them."""

from __future__ import annotations

import functools
import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from tests.digits import all_digits
from transfercli.evaluation.monitoring.answered_images import AnsweredImages, LabelledAnswers
from transfercli.evaluation.monitoring.expected_accuracy import AccuracyEstimator, KnownShift, learn_known_shifts
from transfercli.evaluation.monitoring.known_shifts import KNOWN_SHIFTS

# Rows of the digits in a random order: scikit-learn's have the same writer one after the other.
TRAINING, HELD_OUT, RECENT, _ = np.split(np.random.default_rng(0).permutation(1797), (600, 900, 1400))
SIDE = 8


@functools.cache
def pixels() -> np.ndarray:
    """Return all digits, uint8 [1797, 8, 8, 3]."""
    return all_digits().rgb(range(1797), SIDE)


@functools.cache
def network() -> MLPClassifier:
    """Return a network that learnt the training images for too long: it is too sure of itself."""
    model = MLPClassifier((24,), max_iter=500, tol=1e-5, learning_rate_init=0.003, random_state=0, alpha=1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(_inputs(pixels()[TRAINING]), all_digits().labels[TRAINING])


def answers(images: np.ndarray, *, features: bool = True) -> AnsweredImages:
    """Return the answers to images uint8 [N, 8, 8, 3]; the features are the hidden units."""
    model, inputs = network(), _inputs(images)
    probabilities = model.predict_proba(inputs)
    hidden = np.maximum(inputs @ model.coefs_[0] + model.intercepts_[0], 0)
    answered = probabilities.argmax(axis=1)[:, None] == np.arange(10)
    return AnsweredImages(probabilities, answered, hidden.astype(np.float32)[:, : 24 if features else 0])


def labelled(images: np.ndarray, rows: np.ndarray) -> LabelledAnswers:
    """Return the answers to images of some rows of the digits, with their labels."""
    return LabelledAnswers.of_targets(answers(images), all_digits().labels[rows])


def changed(rows: np.ndarray, kind: str, severity: int) -> np.ndarray:
    """Return images of some rows under a known shift."""
    images = pixels()[rows]
    return KNOWN_SHIFTS[kind].batch(images, np.arange(len(images)), severity, 0)


@functools.cache
def held_out() -> LabelledAnswers:
    """Return the answers to the held-out images."""
    return labelled(pixels()[HELD_OUT], HELD_OUT)


@functools.cache
def shifts() -> tuple[KnownShift, ...]:
    """Return the answers under all known shifts at three severities."""
    return tuple(
        KnownShift(kind, labelled(changed(HELD_OUT, kind, severity), HELD_OUT))
        for kind in KNOWN_SHIFTS
        for severity in (1, 3, 5)
    )


@functools.cache
def estimator(without: str = "") -> AccuracyEstimator:
    """Return an estimator that knows no shift of the kind `without`."""
    known = [shift for shift in shifts() if shift.kind != without]
    return AccuracyEstimator(held_out(), learn_known_shifts(held_out(), known, 0), 0)


def _inputs(images: np.ndarray) -> np.ndarray:
    return images[..., 0].reshape(len(images), -1) / 255
