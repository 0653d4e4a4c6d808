"""Counts and histograms: exact in any order, and refused if they contradict themselves."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transfercli.evaluation.monitoring.counts import UNIT, Answers, Counts, one_hot
from transfercli.evaluation.monitoring.histograms import CONFIDENCES, NUMBERS

LABELS = 4


def answers(images: int, seed: int) -> Answers:
    """Return answers of a model with one label an image, a score, and abstentions."""
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.full(LABELS, 0.4), images)
    given = one_hot(probabilities.argmax(axis=1), LABELS)
    strange = rng.random(images) < 0.2
    abstained = strange | (probabilities.max(axis=1) < 0.5)
    score = rng.normal(-3, 4, images)
    unsure = given & abstained[:, None]
    return Answers(probabilities, given, np.where(given, probabilities, 0), unsure, abstained, score, strange)


def counted(*parts: Answers) -> Counts:
    counts = Counts.none(LABELS)
    for number, part in enumerate(parts):
        counts.add(part, 1000 + number)
    return counts


@given(st.integers(0, 2**31), st.integers(1, 80), st.lists(st.integers(0, 80), max_size=5))
@settings(max_examples=80, deadline=None)
def test_counts_of_parts_add_up_to_those_of_all_images_to_the_last_digit(
    seed: int, images: int, cuts: list[int]
) -> None:
    whole = answers(images, seed)
    parts = [whole.at(rows) for rows in np.split(np.arange(images), sorted(min(cut, images) for cut in cuts))]
    merged = Counts.none(LABELS)
    for part in reversed(parts):
        merged.merge(counted(part))
    assert merged.as_json() == counted(whole).as_json()
    assert counted(*parts).as_json() | {"first": 1000, "last": 1000} == counted(whole).as_json()


def test_counts_say_what_the_answers_are() -> None:
    whole = answers(200, 3)
    counts, classes = counted(whole), whole.probabilities.argmax(axis=1)
    most = whole.probabilities.max(axis=1)
    np.testing.assert_array_equal(counts.predicted, np.bincount(classes, minlength=LABELS))
    np.testing.assert_array_equal(counts.answered, np.bincount(classes[~whole.abstained], minlength=LABELS))
    assert (counts.images, counts.abstained) == (200, whole.abstained.sum())
    assert counts.strange == np.sum(whole.strange)
    np.testing.assert_allclose(counts.probability * UNIT, whole.probabilities.sum(axis=0), atol=200 * UNIT)
    assert counts.mean_confidence(several=False) == pytest.approx(most.mean(), abs=UNIT)
    np.testing.assert_array_equal(counts.confidence, np.histogram(most, CONFIDENCES.bins, (0, 1))[0])
    assert counts.score.sum() == 200
    assert counts.value.sum() == 0


def test_an_answer_without_images_has_no_mean() -> None:
    counts = Counts.none(LABELS)
    counts.fail(3, 10)
    assert counts.mean_confidence(several=False) is None
    assert (counts.failed, counts.first, counts.last) == (3, 10, 10)


def test_counts_survive_json() -> None:
    counts = counted(answers(50, 1), answers(7, 2))
    counts.fail(2, 5)
    text = json.dumps(counts.as_json(), allow_nan=False)
    assert Counts.from_json(json.loads(text), LABELS).as_json() == counts.as_json()


@pytest.mark.parametrize(
    "key, value",
    [
        ("images", -1),
        ("images", 3),
        ("images", True),
        ("failed", "2"),
        ("strange", 10**6),
        ("predicted", [1, 2]),
        ("probability", [0, 0, 0, 2**63]),
        ("confidence", [[1000, 1]]),
        ("confidence", [[-1, 1]]),
        ("confidence", [[3]]),
        ("score", [["0", 1]]),
        ("score", [[1, 10**6]]),
        ("value", 3),
    ],
)
def test_counts_that_cannot_be_are_refused(key: str, value: Any) -> None:
    values = counted(answers(50, 1)).as_json() | {key: value}
    with pytest.raises((ValueError, TypeError)):
        Counts.from_json(values, LABELS)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=True, width=32), min_size=1, max_size=50))
@settings(max_examples=100, deadline=None)
def test_every_number_has_a_bin(values: list[float]) -> None:
    counts = NUMBERS.counts(np.array(values))
    assert counts.sum() == len(values)
    assert len(counts) == NUMBERS.bins == len(NUMBERS.centres)


def test_a_bin_of_numbers_is_narrow_at_any_distance_from_zero() -> None:
    for value in (-5000.0, -7.3, -0.02, 0.05, 1.0, 33.3, 9000.0):
        (place,) = np.flatnonzero(NUMBERS.counts(np.array([value])))
        assert NUMBERS.centres[place] == pytest.approx(value, rel=0.04)
