"""Runs of a scale: classes in an order, trained by gradients and solved, evaluated as classes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from transfercli.errors import ConfigError
from transfercli.runs.folder import RunFolder
from transfercli.workflows.evaluate.evaluate import evaluate_run
from transfercli.workflows.evaluate.request import EvaluateRequest
from transfercli.workflows.stored_run import StoredRun

ORDER = ["4", "2", "0", "1", "3"]


def run_of(result: dict[str, Any]) -> StoredRun:
    return StoredRun(RunFolder(Path(result["run"])))


@pytest.mark.slow
def test_a_scale_is_learnt_by_gradients_and_evaluated_with_its_own_metrics(world) -> None:
    evaluation = {"metrics": ["mae"], "gates": {"quadratic_kappa": 0.0}}
    transfer = {"strategy": "scratch"}
    config = world.config("scale", "digits-source", task="ordinal", transfer=transfer, evaluation=evaluation)
    run = run_of(world.train("pretrain", config, overrides=(f"data.order={json.dumps(ORDER)}",)))
    assert run.labels == tuple(ORDER)
    assert run.read_checkpoint().model["head/logits/bias"].shape == (4,)
    result = evaluate_run(EvaluateRequest(str(run.path), run.path.parent.parent), run.reporter).evaluation
    assert result.metrics["mae"] is not None
    assert [gate["metric"] for gate in result.gates] == ["quadratic_kappa"]


@pytest.mark.parametrize("strategy", ["linear_probe", "partial"])
def test_the_solved_head_of_a_scale_answers_with_probabilities_of_its_classes(source, strategy: str) -> None:
    world, parent = source
    config = world.config(
        f"scale-{strategy}",
        "digits-target",
        task="ordinal",
        transfer={"strategy": strategy},
        model={"base": "small_cnn", "weights": {"run": parent["run"]}},
    )
    run = run_of(world.train("finetune", config))
    assert run.labels == ("5", "6", "7", "8", "9")  # by number
    held_out = run.held_out
    assert held_out is not None
    probabilities = run.calibrate(held_out.logits)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert (probabilities.argmax(axis=1) == held_out.targets).mean() > 0.6


def test_a_scale_whose_order_is_not_known_is_refused_before_the_training(world) -> None:
    config = world.config("scale", "digits-source", task="ordinal")
    with pytest.raises(ConfigError, match=r"data\.order: without '3'"):
        world.train("finetune", config, overrides=('data.order=["0", "1", "2", "4"]',))
