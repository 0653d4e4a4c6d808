"""Results of trainings and of their cost estimates."""

from __future__ import annotations

import pytest

from transfercli.workflows.train.results import CostEstimate, PhaseCost


def test_the_cost_of_a_training_is_the_sum_over_its_phases() -> None:
    probe = PhaseCost("probe", "none", 0, 0.0, 1.25, 3.0, 1000)
    tuning = PhaseCost("train", "conv3", 5, 1e-4, 60.0, 0.5, 24)
    estimate = CostEstimate({"train": 5}, ("a", "b"), 7, (probe, tuning), 10**6, None)
    assert (estimate.train_seconds, estimate.feature_seconds) == pytest.approx((61.2, 3.5), abs=0.1)
    result = estimate.as_json()
    assert (result["run"], result["status"], result["cache_bytes"]) == (None, "dry-run", 1024)
    assert result["phases"][1] == {
        "kind": "train",
        "unfreeze": "conv3",
        "epochs": 5,
        "learning_rate": 1e-4,
        "train": 60.0,
        "features": 0.5,
        "cache_bytes": 24,
        "lora_rank": None,
        "trained": 0,
    }
