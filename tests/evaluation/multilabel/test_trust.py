"""Calibration, thresholds and abstention of several labels, and their file."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from transfercli.config.schema import EvaluationConfig
from transfercli.errors import ArtefactError, exit_code
from transfercli.evaluation.multilabel.confidence import label_confidence_metrics
from transfercli.evaluation.multilabel.trust import LabelTrust, fit_label_trust, read_label_trust, write_label_trust
from transfercli.models.unknown.score import energies, label_energies

LABELS = ("dog", "beach", "never")


def images(number: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return logits, which are three times too large, and targets of two labels and of one that no image has."""
    rng = np.random.default_rng(seed)
    targets = (rng.random((number, 3)) < [0.4, 0.1, 0.0]).astype(np.int32)
    logits = 3 * (2 * (rng.normal(size=(number, 3)) + 2 * targets) - [2.4, 4.2, 6])
    targets[rng.random(targets.shape) < 0.05] = -1
    return logits.astype(np.float32), targets


def config(**settings: Any) -> EvaluationConfig:
    return EvaluationConfig.model_validate(settings)


def test_every_part_comes_back_from_the_file(tmp_path: Path) -> None:
    logits, targets = images(400)
    path = tmp_path / "calibration.json"
    for settings in ({"thresholds": "f1"}, {"thresholds": {"recall": 0.9}, "abstain": {"coverage": 0.8}}, {}):
        trust = fit_label_trust(logits, targets, LABELS, config(**settings))
        write_label_trust(path, trust)
        found = read_label_trust(path)
        assert found is not None
        for name in ("labels", "scalings", "rule", "choices", "abstention", "energy"):
            assert getattr(found, name) == getattr(trust, name)
        np.testing.assert_array_equal(found.probabilities(logits), trust.probabilities(logits))
        np.testing.assert_array_equal(found.thresholds, trust.thresholds)
    assert read_label_trust(tmp_path / "missing.json") is None


def test_a_file_with_the_four_lists_alone_is_read(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    path.write_text('{"labels": ["a", "b"], "scales": [1, 2], "offsets": [0, 1], "thresholds": [0.5, 0.4]}')
    trust = read_label_trust(path)
    assert trust is not None
    assert (trust.scalings, trust.choices, trust.abstention, trust.rule) == ((), (), None, None)


@pytest.mark.parametrize(
    "change",
    [
        {"scales": [1, 2]},
        {"scales": [1, 2, 0]},
        {"offsets": "x"},
        {"thresholds": [0.5, 0.5, 1.5]},
        {"labels": 3},
        {"rule": {"recall": "x"}},
        {"choices": [{}]},
        {"choices": [{"threshold": 0.5}] * 3},
        {"scalings": [{"source": "own", "colour": 1}] * 3},
        {"abstention": {"target": {"accuracy": 0.9}, "confidences": [0.5], "possible": [None]}},
        {"abstention": {"target": {"luck": 0.9}, "confidences": [0.5] * 3, "possible": [None] * 3}},
        {"energy": "x"},
    ],
    ids=str,
)
def test_a_damaged_file_is_refused_with_its_name(tmp_path: Path, change: dict[str, Any]) -> None:
    path = tmp_path / "calibration.json"
    write_label_trust(path, fit_label_trust(*images(100), LABELS, config(thresholds="f1")))
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ArtefactError, match=r"calibration\.json is damaged") as raised:
        read_label_trust(path)
    assert exit_code(raised.value) == 6


def test_a_threshold_is_chosen_for_each_label_and_one_half_without_positives() -> None:
    logits, targets = images(400)
    trust = fit_label_trust(logits, targets, LABELS, config(thresholds={"recall": 0.95}))
    answered = trust.answered(trust.probabilities(logits))
    for index in range(2):
        assert answered[targets[:, index] == 1, index].mean() >= 0.95
        assert trust.choices[index].promised_recall < 0.95
    assert trust.thresholds[2] == 0.5
    assert trust.choices[2].reason == "no image with the label"
    plain = fit_label_trust(logits, targets, LABELS, config())
    assert (plain.thresholds == 0.5).all()


def test_answers_that_are_not_unsure_keep_the_accuracy() -> None:
    logits, targets = images(600)
    trust = fit_label_trust(logits, targets, LABELS, config(abstain={"accuracy": 0.95}))
    new_logits, truth = images(20_000, seed=1)
    assessment = trust.assess(new_logits)
    for index in range(2):
        sure = (truth[:, index] >= 0) & ~assessment.unsure[:, index]
        assert 0.3 < sure.mean() < 1
        right = assessment.answered[sure, index] == (truth[sure, index] == 1)
        assert right.mean() >= 0.95
    np.testing.assert_array_equal(assessment.abstained, assessment.strange | assessment.unsure.any(axis=1))


def test_a_label_is_always_unsure_if_nothing_can_be_promised_and_never_without_a_target() -> None:
    logits, targets = images(20)
    trust = fit_label_trust(logits, targets, LABELS, config(abstain={"accuracy": 0.99}))
    assert trust.unsure(trust.probabilities(logits)).all()
    without = fit_label_trust(logits, targets, LABELS, config(abstain=None))
    assert not without.unsure(without.probabilities(logits)).any()


def test_the_energy_is_the_sum_over_labels_each_of_which_is_a_class_against_0() -> None:
    logits = np.random.default_rng(0).normal(size=(5, 3)) * 50
    each = [energies(np.column_stack([np.zeros(5), logits[:, label]])) for label in range(3)]
    np.testing.assert_allclose(label_energies(logits), np.sum(each, axis=0))
    trust = fit_label_trust(*images(400), LABELS, config())
    assert trust.assess(images(400)[0]).strange.mean() == pytest.approx(0.05, abs=0.01)


def test_metrics_of_the_evaluation_are_json_with_a_row_for_each_label() -> None:
    logits, targets = images(300)
    trust = fit_label_trust(logits, targets, LABELS, config(thresholds="f1", abstain={"accuracy": 0.9}))
    targets[:, 2] = -1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = label_confidence_metrics(trust.assess(logits), logits, targets, trust)
    json.dumps(found, allow_nan=False)
    rows = found["calibration"]["labels"]
    assert [row["label"] for row in rows] == list(LABELS)
    assert rows[0]["ece_after"] < rows[0]["ece_before"]
    assert rows[0]["log_loss_after"] < rows[0]["log_loss_before"]
    assert rows[2]["ece_before"] is None
    assert [row["label"] for row in found["thresholds"]["labels"]] == list(LABELS)
    assert found["abstention"]["labels"][0]["accuracy"] >= 0.9


def test_without_a_fit_nothing_changes() -> None:
    trust = LabelTrust.without_fit(LABELS)
    assert trust.calibration.is_identity
    logits, targets = images(10)
    found = label_confidence_metrics(trust.assess(logits), logits, targets, trust)
    assert found["out_of_distribution"]["strange"] == 0
