"""Calibration out of fold: the temperature of a fold comes from the answers to the other folds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from transfercli.evaluation.confidence.temperature import choose_temperature
from transfercli.evaluation.held_out import HeldOutAnswers
from transfercli.workflows.series.out_of_fold import OutOfFold


@pytest.fixture
def overconfident() -> OutOfFold:
    """600 answers of three runs whose logits are three times too large."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(600, 3))
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    targets = np.array([rng.choice(3, p=row) for row in chances])
    answers = HeldOutAnswers(tuple(map(str, range(600))), targets, (3 * logits).astype("float32"))
    return OutOfFold(answers, np.repeat([0, 1, 2], 200), ("a", "b", "c"))


def test_the_probabilities_of_a_fold_have_not_seen_its_labels(overconfident: OutOfFold) -> None:
    before, first = overconfident.predictions().probabilities, overconfident.run_of == 0
    answers = overconfident.answers
    wrong = np.where(first, (answers.targets + 1) % 3, answers.targets)
    after = replace(overconfident, answers=replace(answers, targets=wrong)).predictions().probabilities
    assert np.array_equal(before[first], after[first])
    assert not np.array_equal(before[~first], after[~first])


def test_the_temperature_is_that_of_the_other_folds(overconfident: OutOfFold) -> None:
    logits, mine = overconfident.answers.logits.astype("float64"), overconfident.run_of == 1
    temperature = choose_temperature(logits[~mine], overconfident.answers.targets[~mine]).temperature
    assert temperature == pytest.approx(3, rel=0.3)
    powers = np.exp(logits[mine] / temperature)
    expected = powers / powers.sum(axis=1, keepdims=True)
    assert overconfident.predictions().probabilities[mine] == pytest.approx(expected, rel=1e-6)


def test_a_sigmoid_head_has_two_columns_and_one_fold_alone_is_not_calibrated() -> None:
    answers = HeldOutAnswers(("x", "y"), np.array([0, 1]), np.array([[-1.0], [2.0]], "float32"))
    probabilities = OutOfFold(answers, np.zeros(2, "int64"), ("no", "yes")).predictions().probabilities
    assert probabilities[:, 1] == pytest.approx(1 / (1 + np.exp([1.0, -2.0])))
