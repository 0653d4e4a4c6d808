"""The log of decisions."""

from __future__ import annotations

import pytest

from tests.runs.crowns import crown
from transfercli.errors import ArtefactError
from transfercli.runs import champions, decisions
from transfercli.runs.decisions import Decision


def test_the_last_word_about_the_data_is_not_one_by_hand_or_an_error(experiment):
    for word in ("kept", "failed", "by hand"):
        decisions.append(experiment, Decision(word, "so it was", "a", fingerprint=word))
    assert decisions.last_retrain_decision(decisions.read(experiment)).decision == "kept"


def test_a_class_named_with_a_line_separator_leaves_its_decision_whole(experiment):
    crown(experiment, "a", "first")
    decisions.append(experiment, Decision("kept", "recall[caf\u2028e\x85] is 0.5", "a", "b", facts={"x": "\u2029"}))
    assert [one.decision for one in decisions.read(experiment)] == ["first", "kept"]


@pytest.mark.parametrize(
    "line",
    [
        "[" * 100_000,
        '{"decision": "promoted", "reason": "r", "champion": "../other/x"}',
        '{"decision": "promoted", "reason": "r", "champion": ["b"]}',
        '{"decision": "kept", "reason": "r", "champion": "a", "time": 7}',
        '{"decision": "kept", "reason": "r", "champion": "a", "facts": "none"}',
        '{"decision": {}, "reason": "r", "champion": "a"}',
        "null",
    ],
)
def test_a_damaged_line_decides_nothing(experiment, line):
    crown(experiment, "a", "first")
    with (experiment / "decisions.jsonl").open("a") as file:
        file.write(line + "\n")
    assert [one.decision for one in decisions.read(experiment)] == ["first"]
    assert champions.apply_last_promotion(experiment).run_id == "a"


def test_a_log_that_cannot_be_read_is_no_empty_one(experiment):
    (experiment / "decisions.jsonl").mkdir()
    with pytest.raises(ArtefactError, match="cannot be read"):
        decisions.read(experiment)
