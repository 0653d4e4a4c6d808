from __future__ import annotations

import math
import subprocess
import sys
import warnings
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve

from transfercli.evaluation.metrics.calibration import bins_for
from transfercli.evaluation.metrics.registry import METRICS, value_of
from transfercli.evaluation.metrics.weighted import Sample
from transfercli.evaluation.predictions import Predictions

Reference = Callable[[np.ndarray, np.ndarray], float]


def _of_labels(score: Callable[..., float], **options: object) -> Reference:
    return lambda t, p: score(t, p.argmax(axis=1), **options)


def _macro(score: Callable[..., float], average: str = "macro") -> Reference:
    return lambda t, p: score(t, p.argmax(axis=1), average=average, labels=np.unique(t), zero_division=0)


def _brier(t: np.ndarray, p: np.ndarray) -> float:
    # scikit-learn does so itself from 1.7 on; older ones know two classes only.
    total = sum(sk.brier_score_loss(t == c, p[:, c], pos_label=True) for c in range(p.shape[1]))
    return total / 2 if p.shape[1] == 2 else total


def _roc_auc(t: np.ndarray, p: np.ndarray) -> float:
    return sk.roc_auc_score(t, p[:, 1] if p.shape[1] == 2 else p, multi_class="ovr")


def _equal_mass_error(t: np.ndarray, p: np.ndarray) -> float:
    # Bins of equal mass, so that their plain mean is the weighted one; needs a multiple of their number of images.
    true, stated = calibration_curve(p.argmax(axis=1) == t, p.max(axis=1), n_bins=bins_for(len(t)), strategy="quantile")
    return float(np.abs(true - stated).mean())


REFERENCES: dict[str, Reference] = {
    "accuracy": _of_labels(sk.accuracy_score),
    "top5_accuracy": lambda t, p: (
        sk.top_k_accuracy_score(t, p, k=5, labels=np.arange(p.shape[1])) if p.shape[1] > 5 else 1
    ),
    "balanced_accuracy": _of_labels(sk.balanced_accuracy_score),
    "macro_f1": _macro(sk.f1_score),
    "weighted_f1": _macro(sk.f1_score, "weighted"),
    "macro_precision": _macro(sk.precision_score),
    "macro_recall": _macro(sk.recall_score),
    "log_loss": lambda t, p: sk.log_loss(t, p, labels=np.arange(p.shape[1])),
    "brier": _brier,
    "roc_auc": _roc_auc,
    "average_precision": lambda t, p: sk.average_precision_score(np.eye(p.shape[1])[t], p, average="macro"),
    "cohen_kappa": _of_labels(sk.cohen_kappa_score),
    "mcc": _of_labels(sk.matthews_corrcoef),
    "mae": _of_labels(sk.mean_absolute_error),
    "quadratic_kappa": _of_labels(partial(sk.cohen_kappa_score, weights="quadratic")),
    "ece": _equal_mass_error,
}


def _normalised(probabilities: np.ndarray) -> np.ndarray:
    return probabilities / probabilities.sum(axis=1, keepdims=True)


def _noise(classes: int, images: int = 343) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(classes)
    targets = np.r_[np.arange(classes), rng.integers(classes, size=images - classes)]
    logits = rng.normal(size=(images, classes))
    logits[np.arange(images), targets] += 1
    return targets, _normalised(np.exp(logits))


def test_every_row_has_a_reference_to_agree_with() -> None:
    assert set(REFERENCES) == set(METRICS)


@pytest.mark.parametrize("name", METRICS)
def test_a_row_agrees_with_scikit_learn_on_digits(name: str, predictions: Predictions) -> None:
    probabilities = _normalised(predictions.probabilities)
    ours = METRICS[name].function(predictions.targets, probabilities)
    assert ours == pytest.approx(REFERENCES[name](predictions.targets, probabilities), abs=1e-9)


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("classes", [2, 3, 6, 20])
def test_a_row_agrees_with_scikit_learn_on_noise(name: str, classes: int) -> None:
    targets, probabilities = _noise(classes)
    ours = METRICS[name].function(targets, probabilities)
    assert ours == pytest.approx(REFERENCES[name](targets, probabilities), abs=1e-9)


@pytest.mark.parametrize("name", ["roc_auc", "average_precision", "log_loss", "brier"])
def test_a_row_agrees_with_scikit_learn_where_scores_are_tied(name: str) -> None:
    targets, probabilities = _noise(4)
    coarse = _normalised(np.round(probabilities * 4) + 0.25)
    ours = METRICS[name].function(targets, coarse)
    assert ours == pytest.approx(REFERENCES[name](targets, coarse), abs=1e-9)


@pytest.mark.parametrize("name", METRICS)
def test_a_row_with_weights_agrees_with_the_images_repeated(name: str) -> None:
    targets, probabilities = _noise(3)
    coarse = _normalised(np.round(probabilities * 8) + 0.25)
    weights = (
        np.random.default_rng(1)
        .multinomial(len(targets), np.full(len(targets), 1 / len(targets)), size=2)
        .T.astype(float)
    )
    for values in (probabilities, coarse):
        found = METRICS[name].rule(Sample(targets, values, weights))
        for column, value in zip(weights.T, found, strict=True):
            drawn = np.repeat(np.arange(len(targets)), column.astype(int))
            assert value == pytest.approx(METRICS[name].function(targets[drawn], values[drawn]), abs=1e-9)


def test_ece_of_a_worked_example() -> None:
    # Four images, so two bins of two: |0.65 - 0.5| and |0.85 - 1|.
    probabilities = np.array([[0.6, 0.4], [0.7, 0.3], [0.8, 0.2], [0.1, 0.9]])
    assert METRICS["ece"].function(np.array([0, 1, 0, 1]), probabilities) == pytest.approx(0.15)


def test_few_images_of_a_calibrated_model_show_little_noise_and_many_show_fine_gaps() -> None:
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.5, 1, (200, 90))
    stated = np.stack([confidence, 1 - confidence], axis=2)
    errors = [METRICS["ece"].function((rng.random(90) > row[:, 0]).astype(int), row) for row in stated]
    assert np.mean(errors) < 0.07  # 0.13 with 15 bins
    assert [bins_for(images) for images in (1, 90, 1000, 10_000)] == [1, 4, 10, 22]


def test_ece_does_not_depend_on_the_order_of_equally_sure_images(make: Callable[..., Predictions]) -> None:
    targets = [0] * 40 + [1] * 10
    one = make(targets, [0] * 50, classes=2, confidence=0.8)
    other = make(targets[::-1], [0] * 50, classes=2, confidence=0.8)
    assert value_of("ece", one.targets, one.probabilities) == pytest.approx(0.0, abs=1e-12)
    assert value_of("ece", other.targets, other.probabilities) == pytest.approx(0.0, abs=1e-12)


def test_a_class_outside_the_split_does_not_drag_the_macro_averages(make: Callable[..., Predictions]) -> None:
    targets, predicted = [0, 0, 1, 1, 1], [0, 0, 1, 1, 0]
    narrow, wide = make(targets, predicted, classes=2), make(targets, predicted, classes=9)
    for name in (
        "macro_f1",
        "macro_precision",
        "macro_recall",
        "balanced_accuracy",
        "weighted_f1",
        "mcc",
        "cohen_kappa",
    ):
        values = [value_of(name, one.targets, one.probabilities) for one in (narrow, wide)]
        assert values[0] == pytest.approx(values[1], abs=1e-12), name


def test_an_image_mistaken_for_a_class_outside_the_split_costs_its_own_class(make: Callable[..., Predictions]) -> None:
    one = make([0, 0, 1, 1], [0, 2, 1, 1])
    assert value_of("macro_f1", one.targets, one.probabilities) == pytest.approx((2 / 3 + 1) / 2)
    assert value_of("balanced_accuracy", one.targets, one.probabilities) == pytest.approx(0.75)


@pytest.mark.parametrize(
    "targets, predicted",
    [([0], [0]), ([0], [1]), ([1, 1, 1], [1, 1, 1]), ([1, 1, 1], [0, 0, 0]), ([0, 1, 2], [0, 1, 2]), ([0, 1], [2, 2])],
    ids=["one right", "one wrong", "one class right", "one class wrong", "perfect", "only an absent class predicted"],
)
@pytest.mark.parametrize("confidence", [0.9, 1.0])
def test_extreme_splits_give_numbers_or_none_without_a_warning(
    targets: list[int], predicted: list[int], confidence: float, make: Callable[..., Predictions]
) -> None:
    one = make(targets, predicted, confidence=confidence)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        values = {name: value_of(name, one.targets, one.probabilities) for name in METRICS}
    assert all(value is None or math.isfinite(value) for value in values.values())
    assert values["accuracy"] == sum(t == p for t, p in zip(targets, predicted, strict=True)) / len(targets)


def test_what_is_not_defined_is_none(make: Callable[..., Predictions]) -> None:
    one = make([1, 1], [1, 1])
    undefined = {name for name in METRICS if value_of(name, one.targets, one.probabilities) is None}
    assert undefined == {"roc_auc", "cohen_kappa", "quadratic_kappa"}


def test_perfect_predictions_are_perfect(make: Callable[..., Predictions]) -> None:
    one = make([0, 1, 2, 2], [0, 1, 2, 2], confidence=1.0)
    for name, row in METRICS.items():
        best = 1.0 if row.higher_is_better else 0.0
        assert value_of(name, one.targets, one.probabilities) == pytest.approx(best, abs=1e-12), name


def test_a_sure_mistake_costs_a_finite_log_loss(make: Callable[..., Predictions]) -> None:
    one = make([0], [1], confidence=1.0)
    assert value_of("log_loss", one.targets, one.probabilities) == pytest.approx(-math.log(np.finfo(float).eps))


def test_the_table_imports_nothing_heavy() -> None:
    code = (
        "import sys, transfercli.evaluation.metrics.registry, transfercli.evaluation.gates;"
        "heavy = {'keras', 'tensorflow', 'sklearn', 'scipy', 'matplotlib', 'jinja2'} & set(sys.modules);"
        "sys.exit(str(heavy or ''))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""
