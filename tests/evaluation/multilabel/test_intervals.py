"""Intervals of the metrics of several labels: coverage of true values, groups, few images, formulas of shares."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.label_intervals import Design, coverage
from tests.evaluation.multilabel.answers import label_value_of, random_answers
from transfercli.evaluation.multilabel.intervals import label_intervals
from transfercli.evaluation.multilabel.metrics import LABEL_METRICS, PER_LABEL
from transfercli.evaluation.multilabel.predictions import LabelPredictions
from transfercli.evaluation.statistics.intervals import wilson


@pytest.mark.slow
@pytest.mark.parametrize("design", [Design(200), Design(200, unknown=0.4), Design(320, size=8)], ids=str)
def test_intervals_hold_the_true_value_about_as_often_as_they_say(design: Design) -> None:
    found = coverage(design, trials=60)
    held = {name: share for name, (share, trials) in found.items() if trials > 0.9}
    assert {"map", "macro_f1", "micro_f1", "hamming_loss", "log_loss", "ap[c]", "recall[a]", "f1[e]"} <= set(held)
    assert min(held.values()) > 0.8
    assert np.mean(list(held.values())) == pytest.approx(0.95, abs=0.025)


def test_an_interval_holds_the_value_of_its_metric() -> None:
    answers = random_answers(0, images=80)
    bounds = label_intervals(answers)
    values = {name: label_value_of(name, answers) for name in LABEL_METRICS}
    for name, row in PER_LABEL.items():
        values |= {f"{name}[l{index}]": value for index, value in enumerate(row.value(answers))}
    assert set(LABEL_METRICS) <= set(bounds)
    for name, (low, high) in bounds.items():
        value = values[name]
        assert value is not None
        assert low <= value <= high, name
        assert low < high


def test_shares_of_a_label_have_wilsons_interval_and_f1_that_of_the_jaccard_index() -> None:
    answers = random_answers(1)
    truth, answered = answers.targets[:, 3] == 1, answers.answered[:, 3] & answers.known[:, 3]
    hits, bounds = int((truth & answered).sum()), label_intervals(answers)
    assert bounds["recall[l3]"] == wilson(hits, truth.sum())
    assert bounds["precision[l3]"] == wilson(hits, answered.sum())
    jaccard = wilson(hits, (truth | answered).sum())
    assert jaccard is not None
    assert bounds["f1[l3]"] == pytest.approx([2 * share / (1 + share) for share in jaccard])


def test_labels_without_images_and_answers_without_mistakes_claim_no_certainty() -> None:
    targets = np.tile([[1, 0, 0], [0, 1, 0]], (10, 1))
    perfect = LabelPredictions(map(str, range(20)), "abc", targets, 0.8 * targets + 0.1, [0.5] * 3)
    bounds = label_intervals(perfect)
    for name in ("accuracy", "subset_accuracy", "macro_f1", "micro_f1", "macro_recall", "f1[a]", "recall[b]"):
        low, high = bounds[name]
        assert low < 0.95
        assert high == 1
    assert not any(name.endswith("[c]") for name in bounds)


def test_images_in_few_groups_have_intervals_of_shares_alone_and_in_many_wider_ones() -> None:
    answers = random_answers(2, images=90)
    few = label_intervals(replace(answers, groups=tuple("abc" * 30)))
    assert {"accuracy", "recall[l3]", "micro_f1"} <= set(few)
    assert not {"map", "macro_f1", "log_loss", "ece", "ap[l3]"} & set(few)
    alike = answers.of(np.repeat(np.arange(30), 3))
    many = label_intervals(replace(alike, groups=tuple(str(number // 3) for number in range(90))))
    alone = label_intervals(alike)
    for name in ("accuracy", "micro_f1", "map", "log_loss", "recall[l3]"):
        assert np.ptp(many[name]) > 1.3 * np.ptp(alone[name]), name


def test_with_many_labels_ranking_metrics_have_an_interval_if_they_are_asked_for() -> None:
    answers = random_answers(3, labels=21)
    assert not {"map", "micro_ap", "macro_auroc", "ap[l3]", "auroc[l3]"} & set(label_intervals(answers))
    assert {"map", "ap[l3]"} <= set(label_intervals(answers, ["map"]))
    assert "auroc[l3]" in label_intervals(answers, ["auroc[l3]"])


def test_the_same_seed_gives_the_same_intervals() -> None:
    answers = random_answers(4)
    assert label_intervals(answers, seed=1) == label_intervals(answers, seed=1) != label_intervals(answers, seed=2)
