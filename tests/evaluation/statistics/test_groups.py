"""Statistics of images in groups: subjects are simulated, so that the truth is known. Seeds are fixed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from transfercli.data.clusters import cluster_indices
from transfercli.evaluation.predictions import Predictions
from transfercli.evaluation.result import evaluate
from transfercli.evaluation.robustness.corruptions import CORRUPTIONS
from transfercli.evaluation.robustness.score import score_corruption
from transfercli.evaluation.slices import slice_by_value
from transfercli.evaluation.statistics import shift_tests
from transfercli.evaluation.statistics.bootstrap import resample_weights
from transfercli.evaluation.statistics.exact_tests import gain_p_value, mcnemar, net_counts
from transfercli.evaluation.statistics.intervals import intervals, proportion_interval, wilson
from transfercli.evaluation.statistics.paired import compare
from transfercli.evaluation.statistics.promotion import compare_for_promotion, comparison_record, decide_promotion
from transfercli.evaluation.statistics.shift_tests import ModelOutputs, detect_shift

SUBJECTS, SHOTS = 20, 10
GROUPS = tuple(f"s{image // SHOTS}" for image in range(SUBJECTS * SHOTS))


def correlated(rng: np.random.Generator, correlation: float, width: int = 1) -> np.ndarray:
    """Standard normal numbers [200, width], with this correlation within each subject."""
    shared, own = rng.standard_normal((SUBJECTS, width)), rng.standard_normal((SUBJECTS * SHOTS, width))
    return np.sqrt(correlation) * np.repeat(shared, SHOTS, axis=0) + np.sqrt(1 - correlation) * own


def model(rng: np.random.Generator, correlation: float = 0.8, groups: tuple[str, ...] = GROUPS) -> Predictions:
    """Predictions of a model that is right on 84% of new subjects."""
    margin = 1.0 + correlated(rng, correlation)[:, 0]
    targets = np.repeat(np.arange(SUBJECTS) % 2, SHOTS)
    true = 1 / (1 + np.exp(-2 * margin))
    probabilities = np.where(np.arange(2) == targets[:, None], true[:, None], 1 - true[:, None])
    return Predictions(tuple(map(str, range(len(targets)))), ("a", "b"), targets, probabilities, groups)


@pytest.mark.parametrize("correlation, ignored_holds", [(0.0, 0.9), (0.5, 0.8), (0.8, 0.7)])
def test_intervals_of_accuracy_hold_the_truth_if_images_of_a_subject_are_alike(
    correlation: float, ignored_holds: float
) -> None:
    of_image, held, ignored = cluster_indices(GROUPS), [], []
    for seed in range(400):
        right = 1.0 + correlated(np.random.default_rng(seed), correlation)[:, 0] > 0
        for found, interval in ((held, proportion_interval(right, of_image)), (ignored, proportion_interval(right))):
            assert interval is not None
            found.append(interval[0] <= 0.8413 <= interval[1])
    assert np.mean(held) >= 0.93
    assert bool(np.mean(ignored) >= ignored_holds) is (correlation == 0)


def test_images_that_are_all_alike_count_as_their_subjects() -> None:
    of_image = np.repeat(np.arange(20), 10)
    right = np.repeat(np.arange(20) < 18, 10)
    found, subjects = proportion_interval(right, of_image), wilson(18, 20)
    assert found is not None
    assert subjects is not None
    assert found[0] == pytest.approx(subjects[0], abs=0.03)
    assert found[1] == pytest.approx(subjects[1], abs=0.01)
    perfect = proportion_interval(np.ones(200, bool), of_image)
    assert perfect is not None
    assert perfect[0] < 0.85
    assert perfect[1] == 1.0
    alone = proportion_interval(np.ones(10, bool), np.zeros(10, int))
    assert alone is not None
    assert alone[0] < 0.3  # one subject says little


def test_a_resample_draws_whole_groups() -> None:
    of_image = np.array([0, 0, 0, 1, 2, 2])
    (weights,) = resample_weights(np.array([0, 0, 1, 1, 0, 1]), 50, np.random.default_rng(0), of_image)
    assert weights.shape == (6, 50)
    for cluster in range(3):
        assert np.ptp(weights[of_image == cluster], axis=0).max() == 0
    assert (weights[[0, 3, 4]].sum(axis=0) == 3).all()


def test_every_interval_is_wider_than_with_as_many_independent_images() -> None:
    grouped = model(np.random.default_rng(3))
    known, ignored = evaluate(grouped), evaluate(replace(grouped, groups=()))
    assert (known.groups, ignored.groups) == (20, None)
    assert known.as_result()["groups"] == 20
    assert known.intervals.keys() == ignored.intervals.keys()
    for name, (low, high) in known.intervals.items():
        assert high - low > 1.2 * np.subtract(*ignored.intervals[name][::-1]), name
    assert known.metrics == ignored.metrics


def test_groups_of_one_image_change_no_number() -> None:
    alone = tuple(f"only{image}" for image in range(200))
    pair = [model(np.random.default_rng(seed), 0.0, alone) for seed in (1, 2)]
    plain = [replace(each, groups=()) for each in pair]
    first, second = (evaluate(each, slices={"s": slice_by_value(["x", "y"] * 100)}) for each in (pair[0], plain[0]))
    assert first.intervals == second.intervals
    assert (first.groups, second.groups) == (200, None)
    assert [row["groups"] for row in first.slices] == [100, 100]
    ours, theirs = compare(pair[0], pair[1]).as_json(), compare(plain[0], plain[1]).as_json()
    assert (ours.pop("groups"), theirs.pop("groups")) == (200, None)
    assert ours == theirs


def test_of_300_equal_challengers_at_most_one_in_twenty_gains_by_the_exact_test_of_groups() -> None:
    known, ignored = [], []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        pair = model(rng), model(rng)
        known.append(gain_p_value(*pair, "accuracy", 0))
        ignored.append(gain_p_value(*(replace(each, groups=()) for each in pair), "accuracy", 0))
    assert np.mean(np.array(known) <= 0.05) <= 0.05
    assert np.mean(np.array(ignored) <= 0.05) > 0.2


def test_a_gain_on_two_subjects_promotes_nothing() -> None:
    champion = model(np.random.default_rng(0), 0.8)
    probabilities = champion.probabilities.copy()
    mistakes = np.bincount(np.arange(200) // SHOTS, champion.predicted != champion.targets)
    chosen = np.isin(np.arange(200) // SHOTS, np.argsort(mistakes)[-2:])
    probabilities[chosen] = np.eye(2)[champion.targets[chosen]] * 0.9 + 0.05
    challenger = replace(champion, probabilities=probabilities)
    assert mcnemar(net_counts(champion, challenger)) == 0.5
    known = compare_for_promotion(champion, challenger, "accuracy", 0.95, 0)
    plain = [replace(each, groups=()) for each in (champion, challenger)]
    ignored = compare_for_promotion(plain[0], plain[1], "accuracy", 0.95, 0)
    assert decide_promotion(ignored, [], 0.0).decision == "promoted"
    verdict = decide_promotion(known, [], 0.0)
    assert verdict.decision == "kept"
    assert "200 test images in 20 groups" in verdict.reason
    assert comparison_record(known)["groups"] == 20
    assert comparison_record(known)["p_value"] == 0.5
    # The groups of one side are enough: an older run did not record them.
    assert compare(replace(champion, groups=()), challenger).as_json() == compare(champion, challenger).as_json()


def test_a_challenger_that_is_better_on_every_subject_is_promoted() -> None:
    champion = model(np.random.default_rng(1), 0.0)
    probabilities = np.eye(2)[champion.targets] * 0.9 + 0.05
    found = compare_for_promotion(champion, replace(champion, probabilities=probabilities), "accuracy", 0.95, 0)
    assert decide_promotion(found, [], 0.0).decision == "promoted"


def test_corrupted_images_have_intervals_of_groups() -> None:
    plain = model(np.random.default_rng(2))
    corruption = next(iter(CORRUPTIONS.values()))
    known, ignored = (
        score_corruption(each, plain.predicted, corruption, 1, (8, 8)) for each in (plain, replace(plain, groups=()))
    )
    assert np.ptp(known["interval"]) > 1.3 * np.ptp(ignored["interval"])


@pytest.mark.parametrize("shots", [10, 1])
def test_new_subjects_alone_are_no_drift(monkeypatch: pytest.MonkeyPatch, shots: int) -> None:
    """shots: images of each recent subject; fewer than of the reference's must not be a drift, either."""
    monkeypatch.setattr(shift_tests, "PERMUTATIONS", 199)
    found = {True: 0, False: 0}
    for seed in range(12):
        rng, sets = np.random.default_rng(seed), {True: [], False: []}
        for images in (SHOTS, shots):
            features = correlated(rng, 0.8, 16).reshape(SUBJECTS, SHOTS, 16)[:, :images].reshape(-1, 16)
            odds = np.exp(2 * features[:, :3])
            for known, outputs in sets.items():
                groups = tuple(f"s{image // images}" for image in range(len(features))) if known else ()
                outputs.append(ModelOutputs(features, odds / odds.sum(axis=1, keepdims=True), groups, groups))
        for known, outputs in sets.items():
            found[known] += detect_shift(outputs[0], outputs[1], seed)["drifted"]
    assert found[True] <= 2
    assert found[False] == (12 if shots == SHOTS else found[False])


def test_a_drift_of_all_subjects_is_found() -> None:
    sets = []
    for seed, shift in ((1, 0.0), (2, 1.5)):
        features = correlated(np.random.default_rng(seed), 0.8, 16) + shift
        sets.append(ModelOutputs(features, np.full((200, 2), 0.5), GROUPS, GROUPS))
    assert detect_shift(sets[0], sets[1], 0)["drifted"]


def test_two_groups_give_intervals_of_proportions_only() -> None:
    rng = np.random.default_rng(0)
    targets = rng.integers(2, size=60)
    probabilities = rng.dirichlet((1, 1), 60)
    found = intervals(targets, probabilities, ("a", "b"), groups=("x",) * 30 + ("y",) * 30)
    assert set(found) == {"accuracy", "top5_accuracy", "recall[a]", "recall[b]"}
