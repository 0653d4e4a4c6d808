"""The result of a scheduled retraining."""

from __future__ import annotations

from pathlib import Path

from transfercli.runs.decisions import Decision
from transfercli.workflows.retrain.results import RetrainResult

FACTS = {"comparison": {"gain": 0.1}, "changes": {"added": 3, "removed": 0, "new_classes": ["owl"]}, "warned": "x"}


def test_runs_of_a_decision_become_paths_and_what_was_not_measured_has_no_key() -> None:
    decision = Decision("promoted", "it is better", "b", "b", facts=FACTS, time="2026-01-01T00:00:00Z")
    assert RetrainResult.of(Path("runs/exp"), decision).as_json() == {
        "time": "2026-01-01T00:00:00Z",
        "decision": "promoted",
        "champion": "runs/exp/b",
        "challenger": "runs/exp/b",
        "comparison": {"gain": 0.1},
        "reason": "it is better",
        "changes": FACTS["changes"],
    }


def test_a_decision_without_runs_names_none_and_only_real_changes_are_listed() -> None:
    result = RetrainResult.of(Path("runs/exp"), Decision("failed", "no data", None, facts=FACTS))
    assert (result.champion, result.challenger, result.gates) == (None, None, None)
    assert list(result.real_changes()) == [("added", 3), ("new classes", ["owl"])]
