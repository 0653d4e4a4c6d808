"""Comparisons of several models with one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from tests.evaluation.comparisons import digit_models
from transfercli.evaluation.predictions import Predictions
from transfercli.evaluation.statistics.exact_tests import difference_p_value
from transfercli.evaluation.statistics.multiple_comparisons import adjust, holm, simultaneous_interval
from transfercli.evaluation.statistics.paired import Comparison, compare


def test_p_values_are_corrected_as_r_does() -> None:
    # R 4: p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm") and p.adjust(c(0.2, 0.9, 0.01), "holm")
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.2, 0.9, 0.01]) == pytest.approx([0.4, 0.9, 0.03])
    assert holm([0.3]) == [0.3]
    assert holm([]) == []
    assert holm([0.02, 0.02, 0.02]) == pytest.approx([0.06] * 3)  # equal p-values stay equal


def test_a_family_of_true_hypotheses_is_rejected_at_most_as_often_as_promised() -> None:
    rng = np.random.default_rng(0)
    shared = rng.random((4000, 1))
    p_values = np.where(rng.random((4000, 8)) < 0.5, shared, rng.random((4000, 8)))  # dependent, as with one first run
    assert np.mean([min(holm(row)) <= 0.05 for row in p_values.tolist()]) < 0.06
    assert np.mean(p_values.min(axis=1) <= 0.05) > 0.15  # and without the correction far more often


def _compared(make: Callable[..., Predictions], fixed: int) -> Comparison:
    """Compare on 200 images: the first has 20 wrong, of which the other has `fixed` right."""
    targets = [0, 1] * 100
    before = [1 - target if number < 20 else target for number, target in enumerate(targets)]
    after = before[:]
    after[:fixed] = targets[:fixed]
    return compare(make(targets, before), make(targets, after))


def test_the_verdict_of_a_few_fixed_images_does_not_outlive_the_company_of_others(make) -> None:
    few, none, many = (_compared(make, fixed) for fixed in (6, 0, 18))
    assert few.outcome("accuracy") == "better"
    assert few.p_value == pytest.approx(2 / 2**6)
    (alone,) = adjust([few], [few.p_value])
    assert (alone.outcome, alone.p_holm, alone.interval) == ("better", few.p_value, few.decisive.interval)
    family = [few, none, many, none]
    adjusted = adjust(family, [each.p_value for each in family])
    assert [each.outcome for each in adjusted] == ["no difference", "no difference", "better", "no difference"]
    assert adjusted[0].p_holm == pytest.approx(3 * few.p_value)
    assert adjusted[0].mcnemar_holm == adjusted[0].p_holm


def test_simultaneous_intervals_widen_with_the_number_of_comparisons(make) -> None:
    compared = _compared(make, 12)
    widths = [high - low for low, high in (simultaneous_interval(compared, n) or (0, 0) for n in (2, 10, 60))]
    assert widths == sorted(widths)
    low, high = simultaneous_interval(compared, 10) or (0, 0)
    assert (high - low) / 2 == pytest.approx(2.807 * (compared.decisive.error or 0), rel=1e-3)  # of 99.5%
    assert simultaneous_interval(_compared(make, 0), 10) is None


def test_the_permutation_test_of_another_metric_agrees_with_mcnemar_on_accuracy() -> None:
    (weak, strong), _ = digit_models(1e-5, 2e-5)
    exact = difference_p_value(weak, strong, "accuracy", 0)
    assert exact == compare(weak, strong).p_value
    # Without an effect of the class sizes, balanced accuracy is nearly accuracy.
    drawn = difference_p_value(weak, strong, "balanced_accuracy", 0, most=4999)
    assert abs(np.log10(drawn) - np.log10(max(exact, 2 / 5000))) < 0.5
    assert difference_p_value(weak, weak, "macro_f1", 0, most=999) == 1.0


def test_groups_of_images_widen_the_intervals_of_few_groups(make) -> None:
    compared = _compared(make, 12)
    grouped = replace(compared, groups=6)
    one, other = (simultaneous_interval(each, 5) or (0, 0) for each in (compared, grouped))
    assert other[1] - other[0] > one[1] - one[0]
