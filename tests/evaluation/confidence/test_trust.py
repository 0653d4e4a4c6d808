from __future__ import annotations

import json
import warnings
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from scipy.special import logsumexp

from transfercli.config.schema import AbstainConfig
from transfercli.errors import ArtefactError
from transfercli.evaluation.confidence.temperature import calibrated, class_logits
from transfercli.evaluation.confidence.trust import (
    Trust,
    confidence_metrics,
    fit_trust,
    read_trust,
    write_trust,
)
from transfercli.models.unknown.score import energies

ACCURATE = AbstainConfig(accuracy=0.99)


def test_a_sigmoid_head_is_two_columns_and_strange_where_neither_class_is_claimed() -> None:
    logits = np.array([[-8.0], [0.0], [8.0]], np.float32)
    np.testing.assert_allclose(calibrated(class_logits(logits), 1.0)[:, 1], 1 / (1 + np.exp(-logits[:, 0])), atol=1e-12)
    found = energies(class_logits(logits))
    assert found[0] == pytest.approx(found[2])
    assert found[1] > found[0]


def test_energy_is_minus_the_log_sum_of_exponentials() -> None:
    logits = np.random.default_rng(0).normal(size=(50, 7)) * 100
    np.testing.assert_allclose(energies(logits), -logsumexp(logits, axis=1), atol=1e-9)


def test_one_in_twenty_validation_images_is_strange(overconfident: tuple[np.ndarray, np.ndarray]) -> None:
    logits, targets = overconfident
    trust = fit_trust(logits, targets, None)
    assert trust.assess(logits).strange.mean() == pytest.approx(0.05, abs=0.005)
    assert not trust.assess(logits).unsure.any()


def test_where_no_confidence_is_accurate_enough_nothing_is_believed() -> None:
    logits = np.array([[2.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    trust = fit_trust(logits, np.array([1, 0, 1]), ACCURATE)
    assert trust.confidence is None
    assessment = trust.assess(logits)
    assert assessment.abstained.all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = confidence_metrics(assessment, logits, np.array([1, 0, 1]), trust)
    assert found["abstention"]["coverage"] == 0
    assert found["abstention"]["accuracy"] is None
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize("images", [1, 2])
def test_one_image_and_one_class_are_enough(images: int) -> None:
    trust = fit_trust(np.full((images, 3), [3.0, 0, 0]), np.zeros(images, int), ACCURATE)
    found = confidence_metrics(trust.assess(np.ones((1, 3))), np.ones((1, 3)), np.zeros(1, int), trust)
    json.dumps(found, allow_nan=False)


def test_the_log_loss_of_the_calibration_is_the_metric_also_after_a_training_that_diverged() -> None:
    from sklearn.metrics import log_loss

    logits, targets = np.array([[0.0, 1e9], [1e9, 0.0], [2.0, 1.0]]), np.array([0, 0, 1])
    found = confidence_metrics(Trust(2.0).assess(logits), logits, targets, Trust(2.0))["calibration"]
    for when, temperature in (("before", 1.0), ("after", 2.0)):
        expected = log_loss(targets, calibrated(logits, temperature))
        assert found[f"log_loss_{when}"] == pytest.approx(expected, rel=1e-9)
    assert found["log_loss_after"] < 13


def test_a_run_without_one_is_neither_calibrated_nor_doubted(tmp_path: Path) -> None:
    assert read_trust(tmp_path / "calibration.json") is None
    logits = np.random.default_rng(0).normal(size=(5, 3))
    assessment = Trust().assess(logits)
    np.testing.assert_allclose(assessment.probabilities, calibrated(logits, 1.0))
    assert not assessment.abstained.any()
    found = confidence_metrics(assessment, logits, np.zeros(5, int), None)
    assert [found[key] for key in ("calibration", "abstention", "out_of_distribution", "conformal")] == [None] * 4


def test_what_is_kept_is_read_again_and_damage_is_told(tmp_path: Path) -> None:
    place, trust = tmp_path / "calibration.json", Trust(1.5, {"coverage": 0.9}, 0.7, -3.0)
    place.write_text(json.dumps({"temperature": 1.5, "target": {"coverage": 0.9}, "confidence": 0.7, "energy": -3.0}))
    assert read_trust(place) == trust  # of an earlier version
    logits = np.random.default_rng(0).normal(size=(60, 3))
    trust = fit_trust(logits, logits.argmax(axis=1), ACCURATE)
    write_trust(place, trust)
    assert asdict(read_trust(place)) == asdict(trust)
    damaged = ({"temperature": 0}, {"temperature": "hot"}, {"heat": 1}, [], {"energy": True}, {"scaling": {"gain": 1}})
    damaged += ({"conformal": {"pooled": 1}}, {"scaling": [1]}, {"possible": "much"}, {"target": [1]}, {"target": {}})
    for broken in damaged:
        place.write_text(json.dumps(broken))
        with pytest.raises(ArtefactError, match=r"calibration.json"):
            read_trust(place)
