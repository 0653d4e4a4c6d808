"""Metrics of the validation images after an epoch."""

from __future__ import annotations

import numpy as np
import pytest

from transfercli.training.validation import validation_metrics


def test_recall_is_told_for_each_class_that_has_validation_images() -> None:
    logits = np.array([[3, 0, 0, 0], [0, 3, 0, 0], [0, 3, 0, 0], [0, 0, 0, 3]], "float32")
    told = validation_metrics(logits, np.array([0, 0, 1, 1], "int32"), ("cat", "dog", "emu", "fox"))
    assert told["val_recall"] == {"cat": 0.5, "dog": 0.5}
    assert told["val_accuracy"] == 0.5
    assert list(told["val_recall"]) == ["cat", "dog"]


def test_recall_of_one_sigmoid_unit_names_both_classes() -> None:
    logits = np.array([[2.0], [-2.0], [-2.0], [2.0]], "float32")
    told = validation_metrics(logits, np.array([1, 0, 0, 0], "int32"), ("no", "yes"))
    assert told["val_recall"] == {"no": pytest.approx(2 / 3, abs=1e-4), "yes": 1.0}
    assert told["val_loss"] == pytest.approx((3 * np.log1p(np.exp(-2)) + np.log1p(np.exp(2))) / 4)


def test_macro_f1_and_balanced_accuracy_are_those_of_scikit_learn() -> None:
    from sklearn.metrics import balanced_accuracy_score, f1_score

    rng = np.random.default_rng(0)
    logits, targets = rng.normal(size=(50, 3)), rng.choice(3, 50, p=[0.7, 0.2, 0.1])
    found, predicted = validation_metrics(logits, targets, ("a", "b", "c")), logits.argmax(1)
    assert found["val_macro_f1"] == pytest.approx(f1_score(targets, predicted, average="macro"), abs=1e-12)
    assert found["val_balanced_accuracy"] == pytest.approx(balanced_accuracy_score(targets, predicted), abs=1e-12)
