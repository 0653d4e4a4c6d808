"""Excess errors on new images."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import fisher_exact

from transfercli.evaluation.statistics.excess_errors import Outcomes, excess_p_value, expected_errors


def outcomes(*classes: tuple[int, int, int], groups: tuple[str, ...] = ()) -> Outcomes:
    """Outcomes of (class, images, errors)."""
    labels = np.concatenate([np.full(images, label) for label, images, _ in classes])
    wrong = np.concatenate([np.arange(images) < errors for _, images, errors in classes])
    return Outcomes(labels, wrong, groups)


@pytest.mark.parametrize("new, earlier", [((20, 4), (180, 9)), ((360, 212), (177, 0)), ((5, 0), (50, 3))])
def test_one_class_gives_the_p_value_of_fishers_exact_test(new: tuple[int, int], earlier: tuple[int, int]) -> None:
    table = [[new[1], new[0] - new[1]], [earlier[1], earlier[0] - earlier[1]]]
    expected = fisher_exact(table, alternative="greater").pvalue
    assert excess_p_value(outcomes((0, *new)), outcomes((0, *earlier))) == pytest.approx(expected, rel=1e-6)


def test_more_images_of_a_hard_class_are_no_excess() -> None:
    earlier = outcomes((0, 100, 0), (1, 100, 40))
    assert excess_p_value(outcomes((1, 50, 20)), earlier) > 0.4  # 40% errors, where 20% were usual over both
    assert excess_p_value(outcomes((0, 50, 20)), earlier) < 1e-9
    assert expected_errors(outcomes((0, 10, 0), (1, 50, 20), (2, 5, 5)), earlier) == (20, 60)


def test_classes_on_one_side_only_say_nothing() -> None:
    assert excess_p_value(outcomes((0, 9, 9)), outcomes((1, 9, 0))) == 1
    assert excess_p_value(outcomes((0, 0, 0)), outcomes((1, 9, 0))) == 1
    both = excess_p_value(outcomes((0, 9, 9), (2, 5, 1)), outcomes((1, 9, 0), (2, 40, 1)))
    assert both == pytest.approx(excess_p_value(outcomes((2, 5, 1)), outcomes((2, 40, 1))))


def test_one_bad_group_of_many_images_is_one_observation() -> None:
    def of_groups(*wrong: float) -> Outcomes:
        """Ten images of each group, with a share of errors."""
        errors = np.concatenate([np.arange(10) < round(10 * share) for share in wrong])
        return Outcomes(np.zeros(len(errors), int), errors, [f"g{row // 10}" for row in range(len(errors))])

    earlier = of_groups(*[0, 0, 0.1, 0, 0.9, 0, 0, 0, 0.1, 0] * 2)
    assert excess_p_value(of_groups(0.9, 0), earlier) > 0.05
    ungrouped = [Outcomes(side.classes, side.wrong) for side in (of_groups(0.9, 0), earlier)]
    assert excess_p_value(*ungrouped) < 0.001
    assert excess_p_value(of_groups(*[0.9] * 10), earlier) <= 0.001


@pytest.mark.parametrize("shots", [1, 5])
def test_the_false_alarm_rate_is_at_most_the_level(shots: int) -> None:
    rng, alarms, trials = np.random.default_rng(0), 0, 80
    for _ in range(trials):
        sides = []
        for subjects in (12, 40):
            rates = rng.beta(0.3, 1.2, subjects) if shots > 1 else np.full(subjects, 0.2)
            wrong = (rng.random((subjects, shots)) < rates[:, None]).ravel()
            groups = [f"s{row // shots}" for row in range(len(wrong))] if shots > 1 else ()
            sides.append(Outcomes(rng.integers(0, 2, len(wrong)), wrong, groups))
        alarms += excess_p_value(sides[0], sides[1]) <= 0.05
    assert alarms / trials <= 0.05 + 2.5 * np.sqrt(0.05 * 0.95 / trials)
