"""Losses over labels: each label has its own sigmoid, and unknown labels take no part."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from tests.backends import gradient
from transfercli.config.schema import LossConfig
from transfercli.training.optim.losses import build_label_accuracy, build_label_loss
from transfercli.training.validation import label_validation_metrics

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(40, 5)).astype("float32")
TARGETS = (RNG.random((40, 5)) < 0.3).astype("int32")
HOLES = np.where(RNG.random((40, 5)) < 0.2, -1, TARGETS)


def test_the_loss_is_that_of_keras_if_every_label_is_known() -> None:
    expected = keras.losses.binary_crossentropy(TARGETS.astype("float32"), LOGITS, from_logits=True)
    np.testing.assert_allclose(build_label_loss(0.0, LossConfig())(TARGETS, LOGITS), expected, rtol=1e-5)


def test_label_smoothing_and_the_focal_loss_are_those_of_keras() -> None:
    truth = TARGETS.astype("float32")
    smooth = keras.losses.binary_crossentropy(truth, LOGITS, from_logits=True, label_smoothing=0.1)
    np.testing.assert_allclose(build_label_loss(0.1, LossConfig())(TARGETS, LOGITS), smooth, rtol=1e-5)
    focal = keras.losses.binary_focal_crossentropy(truth, LOGITS, gamma=2.0, from_logits=True)
    found = build_label_loss(0.0, LossConfig(name="focal", gamma=2.0))(TARGETS, LOGITS)
    np.testing.assert_allclose(found, focal, rtol=1e-4)


def test_unknown_labels_add_nothing_and_the_mean_is_that_of_the_known_ones() -> None:
    known = HOLES >= 0
    loss = build_label_loss(0.0, LossConfig(), known_share=float(known.mean()))
    losses = np.asarray(loss(HOLES, LOGITS))
    terms = np.logaddexp(0, np.where(HOLES == 1, -LOGITS, LOGITS))
    assert losses.mean() == pytest.approx(terms[known].mean(), rel=1e-5)
    others = np.where(known, LOGITS, LOGITS + 7)
    np.testing.assert_array_equal(losses, loss(HOLES, others))


def test_a_weight_of_a_label_multiplies_the_loss_of_its_presence_alone() -> None:
    weights = np.array([1, 2, 3, 4, 5], "float32")
    found = build_label_loss(0.0, LossConfig(), weights)(TARGETS, LOGITS)
    terms = np.logaddexp(0, np.where(TARGETS == 1, -LOGITS, LOGITS)) * np.where(TARGETS == 1, weights, 1)
    np.testing.assert_allclose(found, terms.mean(axis=1), rtol=1e-5)


@pytest.mark.parametrize("name", ["cross_entropy", "focal"])
def test_certain_answers_have_finite_losses_and_gradients(name: str) -> None:
    targets, logits = np.array([[0, 1]]), np.array([[200.0, -200.0]], "float32")
    loss = build_label_loss(0.0, LossConfig(name=name, gamma=0.5))
    assert np.isfinite(loss(targets, logits)).all()
    assert np.isfinite(gradient(lambda x: loss(targets, x), logits)).all()


def test_accuracy_and_the_validation_metrics_are_those_of_the_known_labels() -> None:
    from sklearn.metrics import average_precision_score, f1_score

    known, answered = HOLES >= 0, LOGITS > 0
    right = ((HOLES == 1) == answered)[known].mean()
    metric = build_label_accuracy()
    for part in np.array_split(np.arange(40), 3):
        metric.update_state(HOLES[part], LOGITS[part])
    assert float(metric.result()) == pytest.approx(right)
    found = label_validation_metrics(LOGITS, HOLES, tuple("abcde"))
    rows = [(HOLES[known[:, i], i], LOGITS[known[:, i], i]) for i in range(5)]
    assert found["val_accuracy"] == pytest.approx(right)
    assert found["val_map"] == pytest.approx(np.mean([average_precision_score(*row) for row in rows]))
    assert found["val_macro_f1"] == pytest.approx(np.mean([f1_score(truth, scores > 0) for truth, scores in rows]))
    assert found["val_micro_f1"] == pytest.approx(f1_score((HOLES == 1)[known], answered[known]))


def test_a_label_that_no_image_has_takes_no_part_in_the_means_over_labels() -> None:
    targets = TARGETS.copy()
    targets[:, 2] = 0
    found = label_validation_metrics(LOGITS, targets, tuple("abcde"))
    kept = [0, 1, 3, 4]
    others = label_validation_metrics(LOGITS[:, kept], targets[:, kept], tuple("abde"))
    assert found["val_map"] == others["val_map"]
    assert [*found["val_recall"]] == [*"abde"]
