from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from sklearn.metrics import f1_score

from transfercli.evaluation.metrics.confusion import PER_CLASS
from transfercli.evaluation.metrics.registry import METRICS
from transfercli.evaluation.metrics.weighted import Sample
from transfercli.evaluation.predictions import Predictions
from transfercli.evaluation.statistics.bootstrap import resample_weights
from transfercli.evaluation.statistics.intervals import RANKED, SKEWED, intervals, percentiles, resampled, wilson


def test_wilson_gives_published_values() -> None:
    # Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I, method 3.
    for right, images, low, high in [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ]:
        found = wilson(right, images)
        assert found is not None
        assert found == pytest.approx((low, high), abs=5e-5)


def test_wilson_ends_exactly_at_one_and_knows_no_interval_without_images() -> None:
    assert wilson(7, 7) == (pytest.approx(0.6457, abs=1e-4), 1.0)
    assert wilson(0, 0) is None


def _intervals(one: Predictions, asked: tuple[str, ...] = (), seed: int = 0) -> dict[str, tuple[float, float]]:
    return intervals(one.targets, one.probabilities, one.labels, asked, seed)


def test_every_metric_and_class_has_an_interval_that_holds_its_value_and_repeats_with_its_seed(
    predictions: Predictions,
) -> None:
    found = _intervals(predictions)
    assert set(found) == {*METRICS, *(f"{name}[{label}]" for name in PER_CLASS for label in predictions.labels)}
    for name, row in METRICS.items():
        low, high = found[name]
        assert low <= row.function(predictions.targets, predictions.probabilities) <= high
        assert high > low
    assert _intervals(predictions) == found
    assert _intervals(predictions, seed=1) != found


def test_where_no_image_is_mistaken_accuracys_interval_stands_in(make: Callable[..., Predictions]) -> None:
    found = _intervals(make([0, 1, 2] * 5, [0, 1, 2] * 5))
    assert found["accuracy"] == wilson(15, 15)
    for name in ("macro_f1", "balanced_accuracy", "mcc", "cohen_kappa"):
        assert found[name] == found["accuracy"]
    for name in PER_CLASS:
        assert found[f"{name}[class 1]"] == wilson(5, 5)
    assert not {"log_loss", "brier", "ece"} & set(found)  # all images are equally sure: nothing varies


def test_a_class_without_mistakes_among_others_has_wilsons_interval(make: Callable[..., Predictions]) -> None:
    found = _intervals(make([0, 0, 0, 1, 1, 1, 2, 2], [0, 0, 0, 1, 1, 2, 2, 2]))
    assert found["f1[class 0]"] == found["precision[class 0]"] == wilson(3, 3)
    assert found["precision[class 1]"] == wilson(2, 2)
    assert found["recall[class 1]"] == wilson(2, 3)
    assert found["f1[class 1]"] not in (wilson(2, 3), wilson(2, 2))
    assert found["macro_f1"] != found["accuracy"]


def test_what_is_not_defined_has_no_interval(make: Callable[..., Predictions]) -> None:
    found = _intervals(make([1] * 5, [1] * 5))
    assert not {"roc_auc", "cohen_kappa", "recall[class 0]", "f1[class 2]"} & set(found)
    # MCC is 0 there, and no interval that begins above it may pass a gate
    assert "mcc" not in found
    assert found["macro_f1"] == found["accuracy"]
    assert percentiles(np.array([np.nan, np.nan])) is None
    assert percentiles(np.array([0.5, 0.5])) is None


def test_ranking_metrics_of_many_classes_have_an_interval_only_where_it_is_asked_for(
    make: Callable[..., Predictions],
) -> None:
    rng = np.random.default_rng(0)
    one = make(rng.integers(21, size=60).tolist(), rng.integers(21, size=60).tolist(), classes=21)
    assert not set(RANKED) & set(_intervals(one))
    assert "roc_auc" in _intervals(one, ("roc_auc",))


def test_the_interval_of_macro_f1_agrees_with_scikit_learn_on_drawn_images(predictions: Predictions) -> None:
    values = [
        f1_score(predictions.targets, predictions.predicted, sample_weight=column, average="macro")
        for weights in resample_weights(predictions.targets, 300, np.random.default_rng(5))
        for column in weights.T
    ]
    assert _intervals(predictions)["macro_f1"] == pytest.approx(tuple(np.quantile(values, [0.025, 0.975])), abs=6e-3)


CONFUSION = np.array([[0.85, 0.10, 0.05], [0.15, 0.75, 0.10], [0.05, 0.15, 0.80]])
SHARES = np.array([0.5, 0.3, 0.2])  # of every set: the bootstrap is stratified, as the splits are
NAMES = ("a", "b", "c")
COVERED = [name for name in METRICS if name != "top5_accuracy"]  # which is 1 with three classes
COVERED_OF_ONE_CLASS = ("recall[a]", "recall[c]", "precision[b]", "f1[c]")


@pytest.mark.slow
def test_intervals_cover_the_truth_in_93_to_97_of_100_simulated_sets_of_500_predictions() -> None:
    rng = np.random.default_rng(0)
    truth = _values(*_drawn(rng, 1_000_000))
    covered = dict.fromkeys(truth, 0)
    for trial in range(1000):
        targets, probabilities = _drawn(rng, 500)
        found = intervals(targets, probabilities, NAMES, seed=trial)
        for name, value in truth.items():
            covered[name] += found[name][0] <= value <= found[name][1]
    assert {name: count for name, count in covered.items() if not 930 <= count <= 970} == {}


@pytest.mark.slow
@pytest.mark.parametrize("power, least", [(1.0, 0.98), (1.7, 0.95)])
def test_of_a_calibrated_and_of_a_sharpened_model_the_error_of_calibration_is_covered_more_often(
    power: float, least: float
) -> None:
    rng = np.random.default_rng(3)
    targets, probabilities = _from_a_true_model(rng, 1_000_000, power)
    truth, covered = METRICS["ece"].function(targets, probabilities), 0
    for trial in range(200):
        targets, probabilities = _from_a_true_model(rng, 500, power)
        drawn = resampled(["ece"], Sample.unweighted(targets, probabilities), trial)
        found = SKEWED["ece"](drawn)
        assert found is not None
        covered += found[0] <= truth <= found[1]
    assert covered >= 200 * least


def test_where_odds_are_infinite_the_average_precision_has_percentiles(make: Callable[..., Predictions]) -> None:
    one = make([0] * 20 + [1] * 20, [0] * 20 + [1] * 19 + [0], classes=2)
    low, high = _intervals(one)["average_precision"]
    assert 0.85 < low < high == 1


def _drawn(rng: np.random.Generator, images: int) -> tuple[np.ndarray, np.ndarray]:
    """Targets, and what a model says that takes them for each other as CONFUSION has it, more or less sure."""
    targets = np.repeat(np.arange(3), np.round(SHARES * images).astype(int))
    predicted = (rng.random((images, 1)) > CONFUSION[targets].cumsum(axis=1)).sum(axis=1).clip(max=2)
    logits = rng.normal(size=(images, 3))
    best, rows = logits.argmax(axis=1), np.arange(images)
    logits[rows, best], logits[rows, predicted] = logits[rows, predicted], logits[rows, best]
    shares = np.exp(logits)
    return targets, shares / shares.sum(axis=1, keepdims=True)


def _from_a_true_model(rng: np.random.Generator, images: int, power: float) -> tuple[np.ndarray, np.ndarray]:
    """Targets, and how probable they are: three clouds and Bayes' rule, raised to a power, which is 1 for the truth."""
    targets = np.repeat(np.arange(3), np.round(SHARES * images).astype(int))
    logits = power * (2 * (2 * np.eye(3)[targets] + rng.normal(size=(images, 3))) + np.log(SHARES))
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    return targets, shares / shares.sum(axis=1, keepdims=True)


def _values(targets: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    sample = Sample.unweighted(targets, probabilities)
    values = {name: float(METRICS[name].rule(sample)[0]) for name in COVERED}
    for name in COVERED_OF_ONE_CLASS:
        metric, label = name.rstrip("]").split("[")
        values[name] = float(PER_CLASS[metric](sample.counts)[0, NAMES.index(label)])
    return values
