"""Probability that a label is wrong: many true labels are drawn, so all expected numbers are known."""

from __future__ import annotations

import numpy as np
import pytest

from transfercli.data.quality.label_noise import CERTAIN, LabelNoise, label_noise

CLASSES, IMAGES = 5, 4000


def drawn(sharpness: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Log probabilities [N, C] of a model that is calibrated, and the true classes that it predicts so."""
    rng = np.random.default_rng(seed)
    logits = sharpness * rng.standard_normal((IMAGES, CLASSES))
    logits -= np.log(np.exp(logits).sum(axis=1, keepdims=True))
    truth = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    return logits, truth


def flipped(truth: np.ndarray, share: float, *, similar: bool) -> tuple[np.ndarray, np.ndarray]:
    """Labels of which a share is wrong, in `similar` always of the next class; and True for each wrong one."""
    rng = np.random.default_rng(1)
    wrong = rng.random(len(truth)) < share
    step = np.ones(len(truth), int) if similar else rng.integers(1, CLASSES, len(truth))
    return np.where(wrong, (truth + step) % CLASSES, truth), wrong


def false_alarms(noise: LabelNoise, wrong: np.ndarray) -> tuple[float, int, int]:
    """Expected and true number of false alarms, and number of doubted labels."""
    doubted = noise.doubted()
    return float((1 - noise.wrong[doubted]).sum()), int((~wrong[doubted]).sum()), len(doubted)


@pytest.mark.parametrize("similar", [False, True])
@pytest.mark.parametrize("share", [0.02, 0.1, 0.2])
def test_as_many_doubts_are_false_alarms_as_expected(share: float, similar: bool) -> None:
    logits, truth = drawn(8.0)
    labels, wrong = flipped(truth, share, similar=similar)
    noise = label_noise(logits, labels)
    expected, false, doubted = false_alarms(noise, wrong)
    assert (doubted - false) / wrong.sum() > 0.6
    assert false < 0.2 * doubted
    assert abs(expected - false) < 4 * np.sqrt(expected) + 10
    assert noise.accuracy == pytest.approx((logits.argmax(axis=1) == truth).mean(), abs=0.03)
    assert noise.agreement == (logits.argmax(axis=1) == labels).mean()
    first = noise.doubted()[:20]
    assert wrong[first].all()
    assert (noise.suggested[first] == truth[first]).mean() > 0.8


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_mistakes_of_a_weak_model_are_no_wrong_labels(temperature: float) -> None:
    logits, truth = drawn(1.5)
    assert 0.5 < (logits.argmax(axis=1) == truth).mean() < 0.7
    noise = label_noise(logits / temperature, truth)
    assert len(noise.doubted()) == 0
    assert noise.accuracy < 0.7


@pytest.mark.parametrize("sharpness", [1e-3, 30.0])
def test_no_more_is_claimed_than_the_images_of_a_class_can_prove(sharpness: float) -> None:
    logits, truth = drawn(sharpness)
    labels, _ = flipped(truth[:60], 0.1, similar=False)
    noise = label_noise(logits[:60], labels)
    sizes = np.bincount(labels, minlength=CLASSES)[labels]
    assert (noise.wrong <= (sizes + 1) / (sizes + 2)).all()
    many = label_noise(logits, flipped(truth, 0.1, similar=False)[0])
    assert many.wrong.max() <= CERTAIN
    assert (many.suggestion <= many.wrong + 1e-9).all()


def test_a_class_without_images_and_rounded_probabilities_are_no_obstacle() -> None:
    logits, truth = drawn(8.0)
    rare = np.concatenate([logits, np.full((len(logits), 1), -85.0)], axis=1)
    labels, _ = flipped(truth, 0.05, similar=False)
    noise, other = label_noise(rare, labels), label_noise(logits, labels)
    assert np.isfinite(noise.wrong).all()
    assert abs(len(noise.doubted()) - len(other.doubted())) < 10


def test_mistakes_among_many_classes_of_few_images_are_no_flips() -> None:
    rng = np.random.default_rng(0)
    logits = 6 * rng.standard_normal((300, 50))
    truth = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    logits -= np.log(np.exp(logits).sum(axis=1, keepdims=True))
    assert (logits.argmax(axis=1) != truth).sum() > 50
    assert len(label_noise(logits, truth).doubted()) <= 3


def test_listed_labels_are_in_the_order_of_their_probability_also_in_classes_of_other_sizes() -> None:
    logits, truth = drawn(8.0)
    labels, _ = flipped(truth, 0.1, similar=False)
    kept = (labels > 0) | (np.arange(len(labels)) % 40 == 0)  # about 20 images of class 0, with lower limits
    noise = label_noise(logits[kept], labels[kept])
    doubted = noise.doubted()
    assert set(labels[kept][doubted]) == set(range(CLASSES))
    listed = noise.most_likely_first(doubted[:100])
    assert set(listed) == set(doubted[:100])
    assert (np.diff(noise.wrong[doubted[:100]]) > 0).any()
    assert (np.diff(noise.wrong[listed]) <= 0).all()
