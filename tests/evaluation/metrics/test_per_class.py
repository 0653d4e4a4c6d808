from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import pytest
from sklearn import metrics as sk

from transfercli.evaluation.metrics.calibration import bins_for
from transfercli.evaluation.metrics.per_class import ONE_VS_REST, one_vs_rest
from transfercli.evaluation.predictions import Predictions


def _equal_mass_error(positive: np.ndarray, stated: np.ndarray) -> float:
    bins = np.array_split(np.argsort(stated, kind="stable"), bins_for(len(stated)))
    return sum(abs(positive[one].mean() - stated[one].mean()) * len(one) for one in bins) / len(stated)


# Of whether an image is of the class, and whether it was taken for it.
OF_DECISIONS: dict[str, Callable[..., float]] = {
    "accuracy": sk.accuracy_score,
    "balanced_accuracy": sk.balanced_accuracy_score,
    "cohen_kappa": sk.cohen_kappa_score,
    "mcc": sk.matthews_corrcoef,
}
# Of whether an image is of the class, and the probability of that.
OF_PROBABILITIES: dict[str, Callable[..., float]] = {
    "log_loss": sk.log_loss,
    "brier": sk.brier_score_loss,
    "roc_auc": sk.roc_auc_score,
    "average_precision": sk.average_precision_score,
    "ece": _equal_mass_error,
}


@pytest.mark.parametrize("name", ONE_VS_REST)
@pytest.mark.parametrize("number", [0, 7])
def test_a_row_agrees_with_scikit_learn_on_the_class_against_the_rest(
    name: str, number: int, predictions: Predictions
) -> None:
    probabilities = predictions.probabilities / predictions.probabilities.sum(axis=1, keepdims=True)
    found = one_vs_rest(predictions.targets, probabilities, number)[name]
    if name in OF_DECISIONS:
        expected = OF_DECISIONS[name](predictions.targets == number, predictions.predicted == number)
    else:
        expected = OF_PROBABILITIES[name](predictions.targets == number, probabilities[:, number])
    assert found == pytest.approx(expected, abs=1e-9)


def test_a_class_without_images_gives_numbers_or_nan_without_a_warning(make: Callable[..., Predictions]) -> None:
    one = make([0, 1], [0, 1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = one_vs_rest(one.targets, one.probabilities, 2)
    assert found["accuracy"] == 1
    assert np.isnan(found["roc_auc"])
