from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from sklearn.metrics import f1_score

from transfercli.evaluation.intervals import bootstrap, wilson
from transfercli.evaluation.metrics import METRICS
from transfercli.evaluation.predictions import Predictions
from transfercli.evaluation.resampling import resampled_counts, resampled_means, resampled_weights


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


@pytest.mark.parametrize("name", METRICS)
def test_the_interval_holds_the_value_and_repeats_with_its_seed(name: str, digits: Predictions) -> None:
    found = bootstrap(name, digits.targets, digits.probabilities, 0)
    assert found is not None
    value = METRICS[name].function(digits.targets, digits.probabilities)
    # The error of calibration is biased upwards by resampling: noise adds gaps. Its interval may begin above the value.
    assert found[0] <= value + (0.02 if name == "ece" else 0) < found[1] + 0.02
    assert found[1] - found[0] > 0
    assert bootstrap(name, digits.targets, digits.probabilities, 0) == found


def test_without_a_mistake_there_is_no_interval_of_no_width(make: Callable[..., Predictions]) -> None:
    one = make([0, 1, 2] * 5, [0, 1, 2] * 5)
    assert bootstrap("macro_f1", one.targets, one.probabilities, 0) is None


def test_an_undefined_metric_has_no_interval(make: Callable[..., Predictions]) -> None:
    one = make([1] * 5, [1] * 5)
    assert bootstrap("roc_auc", one.targets, one.probabilities, 0) is None
    assert bootstrap("cohen_kappa", one.targets, one.probabilities, 0) is None


def test_every_resample_keeps_the_number_of_images_of_each_class(digits: Predictions) -> None:
    rng = np.random.default_rng(0)
    support = np.bincount(digits.targets)
    weights = np.concatenate(list(resampled_weights(digits.targets, 20, rng)))
    for number in range(10):
        np.testing.assert_array_equal(weights[:, digits.targets == number].sum(axis=1), support[number])
    counts = resampled_counts(digits.targets, digits.predicted, 10, 20, rng)
    np.testing.assert_array_equal(counts.support, np.tile(support, (20, 1)))
    np.testing.assert_array_equal(counts.predicted.sum(axis=1), len(digits))
    assert (counts.right <= np.minimum(counts.predicted, counts.support)).all()


def test_blocks_add_up_to_the_number_asked_for(digits: Predictions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transfercli.evaluation.resampling.AT_ONCE", 7 * len(digits))
    rng = np.random.default_rng(0)
    assert [len(block) for block in resampled_weights(digits.targets, 20, rng)] == [7, 7, 6]
    assert resampled_means(digits.targets, digits.confidence, 20, rng).shape == (20,)


def test_drawing_from_the_confusion_matrix_spreads_like_drawing_images(digits: Predictions) -> None:
    rng = np.random.default_rng(0)
    quick = METRICS["macro_f1"].resamples(digits.targets, digits.probabilities, 2000, rng)
    slow = []
    for weights in resampled_weights(digits.targets, 2000, rng):
        for row in weights:
            drawn = np.repeat(np.arange(len(digits)), row.astype(int))
            slow.append(_macro_f1(digits.targets[drawn], digits.predicted[drawn]))
    assert quick.mean() == pytest.approx(np.mean(slow), abs=1e-3)
    assert quick.std() == pytest.approx(np.std(slow), rel=0.1)


def test_the_interval_of_macro_f1_agrees_with_scikit_learn_on_drawn_images(digits: Predictions) -> None:
    found = bootstrap("macro_f1", digits.targets, digits.probabilities, 0)
    rng = np.random.default_rng(5)
    values = []
    for weights in resampled_weights(digits.targets, 300, rng):
        for row in weights:
            values += [f1_score(digits.targets, digits.predicted, sample_weight=row, average="macro")]
    assert found == pytest.approx(tuple(np.quantile(values, [0.025, 0.975])), abs=6e-3)


def _macro_f1(targets: np.ndarray, predicted: np.ndarray) -> float:
    right = np.bincount(targets[targets == predicted], minlength=10)
    return float((2 * right / (np.bincount(targets, minlength=10) + np.bincount(predicted, minlength=10))).mean())


CONFUSION = np.array([[0.85, 0.10, 0.05], [0.15, 0.75, 0.10], [0.05, 0.15, 0.80]])
SHARES = np.array([0.5, 0.3, 0.2])
# What the simulated model says where it predicts each class.
STATED = np.array([[0.8, 0.15, 0.05], [0.1, 0.7, 0.2], [0.1, 0.2, 0.7]])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["accuracy", "macro_f1", "mcc", "log_loss"])
def test_intervals_cover_the_truth_in_93_to_97_of_100_simulated_sets_of_500_predictions(name: str) -> None:
    rng = np.random.default_rng(0)
    truth = _population(name)
    covered = 0
    for trial in range(1000):
        targets = rng.choice(3, size=500, p=SHARES)
        predicted = np.array([rng.choice(3, p=CONFUSION[t]) for t in targets])
        probabilities = STATED[predicted]
        found = (
            wilson(int((targets == predicted).sum()), 500)
            if name == "accuracy"
            else bootstrap(name, targets, probabilities, trial)
        )
        assert found is not None
        covered += found[0] <= truth <= found[1]
    assert 930 <= covered <= 970


def _population(name: str) -> float:
    """The metric of a split so large that its shares are the true ones."""
    cells = np.round(SHARES[:, None] * CONFUSION * 2000).astype(int)
    targets, predicted = (np.repeat(index.ravel(), cells.ravel()) for index in np.indices(cells.shape))
    return METRICS[name].function(targets, STATED[predicted])
