"""Paired comparisons of two models that give an image several labels."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import average_precision_score, hamming_loss

from transfercli.errors import DataError
from transfercli.evaluation.multilabel.predictions import LabelPredictions
from transfercli.evaluation.predictions import Predictions
from transfercli.evaluation.statistics.exact_tests import difference_p_value, gain_p_value, net_counts
from transfercli.evaluation.statistics.multiple_comparisons import adjust
from transfercli.evaluation.statistics.paired import align_predictions, compare
from transfercli.evaluation.statistics.permutation_test import swapped_gains
from transfercli.evaluation.statistics.promotion import comparison_record, decide_promotion

LABELS = ("ant", "bee", "cat")


def answers(
    skill: float, images: int = 40, seed: int = 0, threshold: float = 0.5, unknown: float = 0.1
) -> LabelPredictions:
    """Answers to the same images whatever the skill: the higher, the nearer to the truth."""
    rng, noise = np.random.default_rng(seed), np.random.default_rng([seed, round(1000 * skill)])
    truth = (rng.random((images, 3)) < 0.4).astype(np.int64)
    known = rng.random((images, 3)) >= unknown
    logits = skill * (2 * truth - 1) + noise.normal(size=truth.shape)
    paths = tuple(f"{number}.png" for number in range(images))
    targets = np.where(known, truth, -1)
    return LabelPredictions(paths, LABELS, targets, 1 / (1 + np.exp(-logits)), np.full(3, threshold))


def test_differences_are_those_of_scikit_learn_on_known_labels() -> None:
    before, after = answers(0.2), answers(2.0)
    compared = compare(before, after, metric="map")
    aps = []
    for model in (before, after):
        columns = zip(model.targets.T, model.probabilities.T, strict=True)
        aps.append(np.mean([average_precision_score(t[t >= 0], p[t >= 0]) for t, p in columns]))
    assert compared.decisive.champion == pytest.approx(aps[0])
    assert compared.decisive.difference == pytest.approx(aps[1] - aps[0])
    known = before.known
    losses = [hamming_loss(m.targets[known], m.answered[known].astype(int)) for m in (before, after)]
    assert compared.metrics["hamming_loss"].difference == pytest.approx(losses[1] - losses[0])
    assert compared.outcome("map") == "better"
    assert compared.gain() == pytest.approx(compared.decisive.difference)
    assert compare(before, after, metric="hamming_loss").gain() == pytest.approx(losses[0] - losses[1])
    assert compare(after, before, metric="map").outcome("map") == "worse"
    assert {"ap[bee]", "recall[cat]", "auroc[ant]"} <= set(compared.metrics)


def test_equal_models_do_not_differ_and_nothing_is_promoted() -> None:
    model = answers(1.0)
    compared = compare(model, model, metric="map")
    assert compared.decisive.interval is None
    assert compared.p_value == 1
    assert decide_promotion(compared, [], 0.0).decision == "kept"
    assert [row["label"] for row in comparison_record(compared)["per_class"]] == list(LABELS)


def test_tests_of_sums_of_right_answers_are_exact() -> None:
    before, after = answers(0.4, 12), answers(0.9, 12)
    for metric in ("accuracy", "hamming_loss", "subset_accuracy"):
        nets = net_counts(before, after, metric)
        sums = [np.dot(signs, np.abs(nets)) for signs in product((-1, 1), repeat=len(nets))]
        exact = float(np.mean(np.array(sums) >= nets.sum()))
        assert gain_p_value(before, after, metric, 0) == pytest.approx(exact)
    fixed, broken = (int((net_counts(before, after) == sign).sum()) for sign in (1, -1))
    expected = binomtest(fixed, fixed + broken).pvalue
    assert compare(before, after, metric="map").p_value == pytest.approx(expected)


def test_swapped_answers_keep_the_thresholds_of_their_model() -> None:
    """Two models with the same probabilities and other thresholds differ, and a swap of all images turns the gain."""
    before = answers(1.0, 30, threshold=0.9, unknown=0)
    after = replace(before, thresholds=np.full(3, 0.5))
    gains = next(swapped_gains(before, after, "micro_f1", np.random.default_rng(0), 200))
    assert gains[0] == pytest.approx(compare(before, after, metric="micro_f1").gain())
    assert gains[0] > 0
    assert abs(gains[1:]).max() <= gains[0] + 1e-12
    assert next(swapped_gains(before, after, "map", np.random.default_rng(0), 50)) == pytest.approx(0)


def test_groups_are_swapped_and_drawn_as_a_whole() -> None:
    before, after = answers(0.3, 60), answers(1.5, 60)
    groups = tuple(f"g{number % 6}" for number in range(60))
    alone, grouped = compare(before, after, metric="map"), compare(replace(before, groups=groups), after, metric="map")
    assert grouped.groups == 6
    assert grouped.exact is not None
    assert min(grouped.exact) == pytest.approx(1 / 64, abs=0.006)  # six groups have 64 ways to be swapped
    assert alone.exact is None


def test_a_random_gain_is_significant_as_rarely_as_the_level_says() -> None:
    p_values = [gain_p_value(answers(0.7, 30, n), answers(0.701, 30, n), "map", n, 199) for n in range(60)]
    assert np.mean(np.array(p_values) <= 0.1) < 0.2
    assert np.median(p_values) == pytest.approx(0.5, abs=0.2)


def test_a_label_that_one_model_lacks_is_never_answered_by_it() -> None:
    before, after = answers(1.0), answers(1.0)
    fewer = LabelPredictions(
        before.paths, LABELS[:2], before.targets[:, :2], before.probabilities[:, :2], np.full(2, 0.5)
    )
    first, second = align_predictions(fewer, after)
    assert first.labels == second.labels == LABELS
    np.testing.assert_array_equal(first.targets, second.targets)
    assert not first.answered[:, 2].any()
    assert compare(first, second, metric="map").gain() > 0


def test_images_with_another_truth_are_not_common_and_tasks_are_not_mixed() -> None:
    before, after = answers(1.0), answers(1.0)
    after.targets[0] = 1 - np.abs(after.targets[0])
    first, _ = align_predictions(before, after)
    assert len(first) == len(before) - 1
    other = Predictions(before.paths, LABELS, np.zeros(len(before)), np.full((len(before), 3), 1 / 3))
    with pytest.raises(DataError, match="one of the two runs gives an image several labels, the other one class"):
        align_predictions(before, other)


def test_several_comparisons_are_corrected_for_their_number() -> None:
    first, others = answers(0.2), [answers(skill) for skill in (1.0, 2.0)]
    compared = [compare(first, other, metric="map") for other in others]
    p_values = [difference_p_value(first, other, "map", 0, 999) for other in others]
    adjusted = adjust(compared, p_values)
    assert all(one.p_holm >= one.p_value for one in adjusted)
    low, high = adjusted[1].interval or (0, 0)
    alone = compared[1].decisive.interval or (0, 0)
    assert low <= alone[0] + 0.02
    assert high >= alone[1] - 0.02
