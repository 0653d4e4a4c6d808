"""The result of a scheduled retraining."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from transfercli.runs.decisions import Decision
from transfercli.workflows.retrain.results import Alerted, Rejected, RetrainResult

FACTS = {
    "former": "a",
    "comparison": {"gain": 0.1},
    "changes": {"added": 3, "removed": 0, "new_classes": ["owl"]},
    "warned": "x",
}


def test_runs_of_a_decision_become_paths_and_what_was_not_measured_has_no_key() -> None:
    decision = Decision("promoted", "it is better", "b", "b", facts=FACTS, time="2026-01-01T00:00:00Z")
    assert RetrainResult.of(Path("runs/exp"), decision).as_json() == {
        "time": "2026-01-01T00:00:00Z",
        "decision": "promoted",
        "champion": "runs/exp/b",
        "challenger": "runs/exp/b",
        "former": "runs/exp/a",
        "comparison": {"gain": 0.1},
        "reason": "it is better",
        "changes": FACTS["changes"],
        "alerts": [],
    }


def test_a_decision_without_runs_names_none_and_only_real_changes_are_listed() -> None:
    result = RetrainResult.of(Path("runs/exp"), Decision("failed", "no data", None, facts=FACTS))
    assert (result.champion, result.challenger, result.gates) == (None, None, None)
    assert list(result.change_texts()) == ["3 images added", "1 new class: 'owl'"]


def test_a_class_that_is_named_like_a_number_is_no_count() -> None:
    changes = {"added": 1, "relabelled": 0, "new_classes": ["5"], "lost_classes": ["6", "7"]}
    result = RetrainResult("kept", "no gain", changes=changes)
    assert list(result.change_texts()) == ["1 image added", "1 new class: '5'", "2 lost classes: '6', '7'"]


def test_the_error_of_a_rejected_challenger_is_a_whole_mail() -> None:
    figures = {
        "metric": "accuracy",
        "images": 177,
        "champion": {"value": 0.96, "interval": [0.92, 0.98]},
        "challenger": {"value": 0.5, "interval": [0.43, 0.57]},
    }
    runs = {"champion": Path("runs/exp/a"), "challenger": Path("runs/exp/b")}
    error = Rejected(RetrainResult("rejected", "much worse", **runs, figures=figures, changes={"added": 360}))
    assert error.message == (
        "the challenger exp/b is rejected, and the champion exp/a stays: much worse; accuracy of the champion"
        " 0.9600 (0.9200 to 0.9800), of the challenger 0.5000 (0.4300 to 0.5700), on 177 test images; 360 images added"
    )
    assert error.hint == "transfercli runs compare runs/exp/a runs/exp/b"
    promoted = replace(error.result, decision="promoted")
    assert promoted.figure_text.startswith(
        "accuracy of the former champion 0.9600 (0.9200 to 0.9800), of the challenger"
    )
    alone = Rejected(RetrainResult("rejected", "not met: recall", challenger=Path("runs/exp/b")))
    assert alone.message == "the challenger exp/b is rejected, and there is still no champion: not met: recall"
    assert alone.hint == "transfercli runs show runs/exp/b"


def test_the_error_of_a_night_with_alerts_says_how_to_accept_them() -> None:
    fell = {"kind": "champion_fell", "message": "", "since": "2026-11-28T06:40:18Z"}
    lost = {"kind": "images_lost", "message": "", "since": "2026-11-29T06:40:18Z"}
    hint = Alerted(RetrainResult("kept", "no gain", alerts=[fell, lost])).hint
    assert hint is not None
    assert hint.startswith(
        "retrain.alert.accepted_until: 2026-11-28 accepts what is known by that day; data.expect acc"
    )
    assert "accepted_until" not in str(Alerted(RetrainResult("kept", "no gain", alerts=[lost])).hint)
