from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from transfercli.errors import DataError
from transfercli.evaluation.metrics.registry import METRICS
from transfercli.evaluation.predictions import Predictions
from transfercli.evaluation.statistics.paired import align_predictions, compare


def test_the_images_that_were_fixed_and_broken_are_told(make: Callable[..., Predictions]) -> None:
    old, new = make([0, 1, 2, 0, 1], [0, 0, 2, 1, 1]), make([0, 1, 2, 0, 1], [0, 1, 2, 0, 2])
    found = compare(old, new)
    assert (found.fixed, found.broken) == (("1.png", "3.png"), ("4.png",))
    assert found.decisive.difference == pytest.approx(0.2)
    assert found.metrics["recall[class 1]"].difference == pytest.approx(0)
    assert found.gain() == pytest.approx(0.2)
    json.dumps(found.as_json(), allow_nan=False)


def test_less_of_a_loss_is_a_gain(make: Callable[..., Predictions]) -> None:
    targets = [0, 1, 2] * 20
    old, new = make(targets, targets[:50] + [0] * 10, confidence=0.6), make(targets, targets[:55] + [0] * 5)
    found = compare(old, new, metric="log_loss")
    assert found.decisive.difference is not None
    assert found.decisive.difference < 0
    gain, bounds = found.gain(), found.gain_interval()
    assert gain is not None
    assert bounds is not None
    assert bounds[0] < gain < bounds[1]
    assert bounds[0] > 0
    assert found.outcome("log_loss") == "better"
    assert compare(new, old).outcome("log_loss") == "worse"


def test_what_is_said_of_a_metric_follows_from_its_interval(make: Callable[..., Predictions]) -> None:
    targets = [0, 1] * 30
    few, many = make(targets, [*targets[:59], 0]), make(targets, targets[:40] + [0] * 20)
    whole = make(targets, targets)
    assert compare(many, whole).outcome("accuracy") == compare(many, whole).as_json()["verdict"] == "better"
    assert compare(whole, many).outcome("recall[class 1]") == "worse"
    assert compare(whole, few).outcome("accuracy") == "no difference"
    assert compare(whole, whole).outcome("accuracy") == "no difference"


def test_equal_predictions_differ_in_nothing_and_claim_no_certainty(predictions: Predictions) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = compare(predictions, predictions)
    assert {found.metrics[name].difference for name in METRICS} == {0.0}
    assert found.decisive.interval is None
    assert found.p_value == 1
    assert found.fixed == found.broken == ()


def test_the_paired_interval_of_accuracy_is_that_of_the_difference_of_each_image(predictions: Predictions) -> None:
    rng = np.random.default_rng(0)
    better = predictions.probabilities.copy()
    chosen = rng.random(len(predictions)) < 0.05
    better[chosen] = np.eye(10)[predictions.targets[chosen]]
    found = compare(predictions, Predictions(predictions.paths, predictions.labels, predictions.targets, better))
    each = (better.argmax(axis=1) == predictions.targets).astype(float) - (predictions.predicted == predictions.targets)
    error = each.std() / np.sqrt(len(each))
    assert found.decisive.interval == pytest.approx((each.mean() - 1.96 * error, each.mean() + 1.96 * error), abs=2e-3)
    assert found.decisive.detectable == pytest.approx((1.96 + 0.8416) * error, rel=0.1)


def test_other_images_are_refused_and_pairing_keeps_what_is_common(make: Callable[..., Predictions]) -> None:
    old = make([0, 1, 1], [0, 1, 0], classes=2, labels=("b", "c"))
    new = Predictions(("2.png", "0.png", "9.png"), ("a", "b", "c"), np.array([2, 1, 0]), np.eye(3)[[2, 1, 0]])
    with pytest.raises(DataError, match="same images"):
        compare(old, new)
    first, second = align_predictions(old, new)
    assert first.paths == second.paths == ("0.png", "2.png")
    assert first.labels == second.labels == ("a", "b", "c")
    assert compare(first, second).fixed == ("2.png",)
    with pytest.raises(DataError, match="no evaluated image in common"):
        align_predictions(old, Predictions(("x.png",), ("b", "c"), np.array([0]), np.array([[1.0, 0.0]])))


def test_the_metric_that_decides_must_be_rare_by_chance_too(make: Callable[..., Predictions]) -> None:
    targets = [0, 1] * 30
    found = compare(make(targets, targets[:40] + [0] * 20), make(targets, targets))
    assert found.by_chance is not None
    assert found.by_chance < 0.01
    unsure = replace(found, by_chance=0.03)
    assert unsure.outcome("accuracy") == unsure.as_json()["verdict"] == "no difference"
    assert unsure.outcome("macro_recall") == "better"  # another metric follows from its interval
    assert replace(found, by_chance=0.02).outcome("accuracy") == "better"
