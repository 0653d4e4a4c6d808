"""Reproducibility of a run: what its bits depend on, and what has changed since."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.listener import Listener
from transfercli.config.schema import ExperimentConfig
from transfercli.workflows.train.reproducibility import nondeterminism_reasons


@pytest.mark.parametrize("budget, reasons", [("3x", 0), (" 2.5x", 0), (60, 1)])
def test_auto_depends_on_measured_times_only_with_a_budget_in_seconds(budget: str | float, reasons: int) -> None:
    transfer = {"strategy": "auto", "budget": budget}
    config = ExperimentConfig.model_validate(
        {"name": "flowers", "data": {"train": "photos"}, "model": {"base": "vgg16"}, "transfer": transfer}
    )
    found = nondeterminism_reasons(config)
    assert len(found) == reasons
    assert all("transfer.budget in seconds" in reason for reason in found)


@pytest.mark.slow
def test_a_run_records_what_its_bits_depend_on_and_warns_where_it_goes_on_with_something_else(world) -> None:
    config, listener = world.config("rec", "digits-target", training={"epochs": 1}), Listener()
    loose = ("compute.deterministic=false",)
    result = world.train("pretrain", config, listener, run_id="night", overrides=loose)
    path = Path(result["run"]) / "run.json"
    facts = json.loads(path.read_text())
    assert facts["machine"].keys() == {
        *("system", "processor", "cores", "threads", "features", "devices", "settings"),
    }
    assert facts["versions"].keys() >= {"keras", "tensorflow", "numpy", "python", "transfercli"}
    assert facts["rerun"] == {"identical": False, "because": ["compute.deterministic is false"]}
    assert "a rerun may not end with the same bits: compute.deterministic is false" in listener.infos
    facts["status"] = "interrupted"
    facts["versions"]["keras"] = "3.0.0"
    facts["machine"]["threads"] += 1
    path.write_text(json.dumps(facts))
    again = Listener()
    world.train("pretrain", config, again, run_id="night", overrides=loose)
    told = next(text for text in again.messages if "may differ in the last bits" in text)
    assert f"threads {facts['machine']['threads'] - 1} instead of {facts['machine']['threads']}" in told
    because = json.loads(path.read_text())["rerun"]["because"]
    assert because[0] == "compute.deterministic is false"
    assert any(reason.startswith("keras ") and reason.endswith("instead of 3.0.0") for reason in because)
