"""Out-of-fold probabilities of the probe, compared with scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest

from tests.digits import all_digits
from transfercli.reporting import Reporter
from transfercli.rows import ArrayRows
from transfercli.transfer.probe.held_out import CrossValidatedProbe

DIGITS = all_digits()
FEATURES, TARGETS = DIGITS.features[:400].astype("float32"), DIGITS.labels[:400]
FOLDS = np.arange(400) * 7 % 3


def test_each_image_is_predicted_by_the_other_folds_at_the_best_strength() -> None:
    from sklearn.linear_model import LogisticRegression

    probe = CrossValidatedProbe(ArrayRows(FEATURES), TARGETS, FOLDS, Reporter())
    found = probe.log_probabilities()
    centred = FEATURES - FEATURES.mean(axis=0)
    centred /= np.sqrt((centred**2).sum(axis=1).mean())
    losses = {}
    for strength in (probe.strength / 10, probe.strength, probe.strength * 10):
        theirs = np.empty((400, 10))
        for fold in range(3):
            train = fold != FOLDS
            # The probe's weights have a mean of 1 over all images, so C means the same.
            model = LogisticRegression(C=strength, max_iter=2000, tol=1e-6).fit(centred[train], TARGETS[train])
            theirs[~train] = model.predict_log_proba(centred[~train])
        losses[strength] = -theirs[np.arange(400), TARGETS].mean()
        if strength == probe.strength:
            # The fit stops at a difference of 3e-4 of the loss.
            assert np.abs(np.exp(found) - np.exp(theirs)).mean() < 0.003
            loss = -found[np.arange(400), TARGETS].mean()
            assert loss == pytest.approx(losses[strength], rel=0.03)
    assert min(losses, key=losses.__getitem__) == probe.strength


def test_an_image_without_weight_teaches_nothing() -> None:
    targets = TARGETS.copy()
    targets[:40] = (targets[:40] + 1) % 10
    probe = CrossValidatedProbe(ArrayRows(FEATURES), targets, FOLDS, Reporter())
    weighted = probe.log_probabilities(np.where(np.arange(400) < 40, 1e-6, 1.0))
    rest = np.arange(400) >= 40

    def right(found: np.ndarray) -> float:
        return float((found.argmax(axis=1) == TARGETS)[rest].mean())

    assert right(weighted) > right(probe.log_probabilities()) - 0.005
    truth = -weighted[np.arange(400), TARGETS][rest].mean()
    assert truth < -probe.log_probabilities()[np.arange(400), TARGETS][rest].mean() * 0.7


def test_a_class_that_the_other_folds_lack_is_taken_at_its_word() -> None:
    features = np.array([[0.0], [0.1], [1.0], [1.1], [5.0]], np.float32)
    targets, folds = np.array([0, 0, 1, 1, 2]), np.array([0, 1, 0, 1, 4])
    found = np.exp(CrossValidatedProbe(ArrayRows(features), targets, folds, Reporter()).log_probabilities())
    assert found[4] == pytest.approx([0, 0, 1])
    assert not (found[:4] == 1).any()
    assert np.allclose(found.sum(axis=1), 1, atol=1e-5)
