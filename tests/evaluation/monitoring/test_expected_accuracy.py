"""The expected accuracy on real digits under shifts that the estimator does not know."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from sklearn.metrics import f1_score

from tests.digits import all_digits
from tests.evaluation.monitoring.digit_answers import (
    HELD_OUT,
    RECENT,
    answers,
    changed,
    estimator,
    held_out,
    labelled,
    pixels,
)
from transfercli.evaluation.monitoring.answered_images import AnsweredImages, LabelledAnswers
from transfercli.evaluation.monitoring.expected_accuracy import (
    CONFIDENCE,
    LEARNT,
    AccuracyEstimator,
    KnownShift,
    learn_known_shifts,
    shrunk,
)
from transfercli.evaluation.monitoring.known_shifts import KNOWN_SHIFTS
from transfercli.evaluation.robustness.corruptions import CORRUPTIONS


def test_under_corruptions_that_it_does_not_know_the_estimate_is_far_better_than_the_average_confidence() -> None:
    learnt, plain, held = [], [], []
    for kind in CORRUPTIONS:
        for severity in (3, 5):
            recent = labelled(changed(RECENT, kind, severity), RECENT)
            found = estimator(kind).expect(recent.answers)
            low, high = found.values["accuracy"].interval or (1, 0)
            learnt.append(abs(found.estimates[LEARNT] - recent.accuracy()))
            plain.append(abs(float(recent.answers.probabilities.max(axis=1).mean()) - recent.accuracy()))
            held.append(low <= recent.accuracy() <= high)
    assert np.mean(learnt) < 0.6 * np.mean(plain)
    assert np.mean(held) >= 0.9


def test_without_a_shift_the_estimate_is_near_the_truth_and_its_interval_holds_it() -> None:
    recent = labelled(pixels()[RECENT], RECENT)
    found = estimator().expect(recent.answers)
    value = found.values["accuracy"]
    assert value.value == pytest.approx(recent.accuracy(), abs=0.04)
    assert value.interval is not None
    assert value.interval[0] <= recent.accuracy() <= value.interval[1]
    assert value.interval[1] - value.interval[0] < 0.2
    assert value.reference == pytest.approx(held_out().accuracy())
    assert found.method == LEARNT
    assert not found.beyond_known
    assert found.unlike is not None
    assert found.unlike < 0.2


def test_noise_that_no_digit_looks_like_is_beyond_the_known_shifts_or_has_a_wide_interval() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (300, 8, 8, 3)).astype(np.uint8)
    found = estimator().expect(answers(noise))
    low, high = found.values["accuracy"].interval or (0, 0)
    assert found.unlike is not None
    assert found.unlike > 0.9
    assert found.beyond_known or high - low > 0.3


def test_fewer_images_give_a_wider_interval() -> None:
    widths = []
    for number in (20, 500):
        found = estimator().expect(answers(pixels()[RECENT[:number]]))
        low, high = found.values["accuracy"].interval or (0, 0)
        widths.append(high - low)
    assert widths[0] > 1.3 * widths[1]


def test_the_interval_of_few_sure_answers_holds_that_all_are_right() -> None:
    recent = labelled(pixels()[RECENT], RECENT)
    sure = recent.of_rows(np.argsort(-recent.answers.certainty[:, 0])[:40])
    low, high = estimator().expect(sure.answers).values["accuracy"].interval or (0, 0)
    assert sure.accuracy() == 1.0
    assert (low > 0.0, high) == (True, 1.0)


def test_copies_of_images_in_one_group_do_not_make_the_interval_narrower() -> None:
    rows = np.arange(100)
    recent = answers(pixels()[RECENT[rows]])
    copied = recent.of_rows(np.repeat(rows, 8))
    grouped = AnsweredImages(copied.probabilities, copied.answered, copied.features, groups=np.repeat(rows, 8))

    def width(images: AnsweredImages) -> float:
        low, high = estimator().expect(images).values["accuracy"].interval or (0, 0)
        return high - low

    assert width(grouped) > 1.1 * width(copied)


def test_without_features_the_calibrated_confidence_counts_and_its_margin_is_that_of_all_shifts() -> None:
    recent = labelled(pixels()[RECENT], RECENT)
    found = estimator().expect(answers(pixels()[RECENT], features=False))
    assert found.method == CONFIDENCE
    assert found.values["accuracy"].value == pytest.approx(found.estimates["calibrated_confidence"])
    assert "importance_weighting" not in found.estimates
    assert LEARNT not in found.estimates
    low, high = found.values["accuracy"].interval or (1, 0)
    with_features = estimator().expect(recent.answers).values["accuracy"].interval or (0, 0)
    assert high - low > with_features[1] - with_features[0]


def test_a_class_that_the_model_does_not_know_is_not_seen() -> None:
    """The blind spot that every result names: it must not be forgotten that it is one."""
    known = all_digits().labels[RECENT] < 8
    of_known = labelled(pixels()[RECENT][known], RECENT[known])
    found = estimator().expect(of_known.answers)
    assert found.values["accuracy"].value == pytest.approx(of_known.accuracy(), abs=0.08)


@pytest.mark.parametrize("present", [range(6), (5, 7, 9)])
def test_classes_without_recent_images_have_no_f1_and_do_not_lower_the_means(present: Sequence[int]) -> None:
    rows = RECENT[np.isin(all_digits().labels[RECENT], list(present))]
    recent = labelled(pixels()[rows], rows)
    found = estimator().expect(recent.answers).values
    assert [index for index in range(10) if found[f"f1[{index}]"].value is not None] == list(present)
    absent = found[f"f1[{min(set(range(10)) - set(present))}]"]
    assert (absent.interval, absent.drop, absent.reference is None) == (None, None, False)
    truth = f1_score(all_digits().labels[rows], recent.answers.classes, labels=list(present), average="macro")
    assert found["macro_f1"].value == pytest.approx(truth, abs=0.02)
    low, high = found["macro_f1"].interval or (1, 0)
    assert low <= truth <= high


def test_a_class_is_expected_though_a_shift_hides_nearly_all_of_its_images() -> None:
    recent = labelled(changed(RECENT, "noise", 5), RECENT)
    hidden = recent.of_rows(np.flatnonzero(recent.answers.classes != 9))
    assert (hidden.truth[:, 9] == 1).sum() > 20
    assert estimator("noise").expect(hidden.answers).values["f1[9]"].value is not None


def test_the_same_images_give_the_same_numbers() -> None:
    recent = answers(pixels()[RECENT[:100]])
    assert estimator().expect(recent).values == estimator().expect(recent).values


def test_a_small_correction_is_nearly_left_out_and_a_large_one_is_nearly_whole() -> None:
    assert shrunk(np.array([0.0, 0.1, 10.0]), 1.0) == pytest.approx([0.0, 0.1**3 / 1.01, 1000 / 101])


def test_several_labels_per_image_have_metrics_of_their_own() -> None:
    """Two digits side by side, answered by thresholds: the labels of an image are those of both."""
    single = held_out()
    half = len(single) // 2

    def paired(images: LabelledAnswers) -> LabelledAnswers:
        first, second = images.of_rows(np.arange(half)), images.of_rows(np.arange(half, 2 * half))
        both = np.maximum(first.answers.probabilities, second.answers.probabilities)
        features = np.maximum(first.answers.features, second.answers.features)
        truth = np.maximum(first.truth, second.truth)
        truth[:5, 0] = -1  # nobody looked for zeros
        return LabelledAnswers(AnsweredImages(both, both >= 0.5, features, several=True), truth)

    own = paired(single)
    known = [
        KnownShift(kind, paired(labelled(changed(HELD_OUT, kind, severity), HELD_OUT)))
        for kind in KNOWN_SHIFTS
        for severity in (1, 4)
    ]
    model = AccuracyEstimator(own, learn_known_shifts(own, known, 0), 0)
    blurred = paired(labelled(changed(RECENT[:400], "pixelation", 5), RECENT[:400]))
    found = model.expect(blurred.answers)
    assert {"accuracy", "micro_f1", "macro_f1", "f1[9]"} <= set(found.values)
    low, high = found.values["accuracy"].interval or (1, 0)
    assert low <= blurred.accuracy() <= high
    assert found.values["accuracy"].reference == pytest.approx(own.accuracy())
    assert own.known[:5, 0].sum() == 0
    assert own.accuracy() == pytest.approx(own.right[own.known].mean())
