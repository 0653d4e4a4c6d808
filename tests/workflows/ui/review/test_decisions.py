"""What a file of decisions says of an image: after others decided, after an undo, and after an edit of the data."""

from __future__ import annotations

from pathlib import Path

import pytest

from transfercli.data.corrections.log import Decision, append_decisions, read_log
from transfercli.data.dataset import Record
from transfercli.data.label_sets import LabelSet
from transfercli.errors import BusyError
from transfercli.workflows.ui.review.decisions import Decisions, checked_label
from transfercli.workflows.ui.review.doubts import Doubts

IMAGE = Record("train/cat/1.png", "a" * 64, "cat", "train", 8, 8)


@pytest.fixture
def decisions(tmp_path: Path) -> Decisions:
    return Decisions(tmp_path / "corrections.csv")


@pytest.mark.parametrize("given", [["dog", "fox", "dog"], ["cat", "cat", "cat"], ["dog", "cat", "dog", "cat"]])
def test_each_undo_goes_one_decision_back_whatever_the_labels(decisions: Decisions, given: list[str]) -> None:
    states = [decisions.state(IMAGE)]
    for number, label in enumerate(given):
        decisions.decide([IMAGE], label, f"reviewer {number}")
        states.append(decisions.state(IMAGE))
    while len(states) > 1:
        assert decisions.state(IMAGE) == states.pop()
        assert decisions.take_back([IMAGE], "Ann")
    assert decisions.state(IMAGE) == states[0]
    assert not decisions.take_back([IMAGE], "Ann")


def test_an_undo_never_takes_the_decision_of_another_page_back(decisions: Decisions) -> None:
    decisions.decide([IMAGE], "dog", "Ann")
    own = decisions.state(IMAGE).decision
    decisions.decide([IMAGE], "fox", "Bo")
    with pytest.raises(BusyError, match="another page has decided"):
        decisions.take_back([IMAGE], "Ann", own)
    other = decisions.state(IMAGE)
    assert (other.label, other.who) == ("fox", "Bo")
    assert decisions.take_back([IMAGE], "Bo", other.decision)
    assert decisions.state(IMAGE).decision == own
    assert decisions.take_back([IMAGE], "Ann", own)
    assert decisions.state(IMAGE).label == "cat"


def test_decisions_on_a_label_that_was_edited_since_do_not_count(decisions: Decisions) -> None:
    append_decisions(decisions.log, [Decision(IMAGE.path, IMAGE.sha256, "fox", "dog")])
    assert (decisions.state(IMAGE).label, decisions.state(IMAGE).decided) == ("cat", False)
    decisions.decide([IMAGE], "fox", "Ann")
    assert (decisions.state(IMAGE).label, decisions.state(IMAGE).decided) == ("fox", True)
    append_decisions(decisions.log, [Decision(IMAGE.path, IMAGE.sha256, "fox", "")])
    assert (decisions.state(IMAGE).label, decisions.state(IMAGE).decided) == ("cat", False)


def test_the_last_row_of_an_image_is_its_label_after_an_undo(decisions: Decisions) -> None:
    for label in ("dog", "fox"):
        decisions.decide([IMAGE], label, "Ann")
    decisions.take_back([IMAGE], "Bo")
    log = read_log(decisions.log)
    assert log is not None
    assert [(row.old, row.new, row.who) for row in log.decisions] == [
        ("cat", "dog", "Ann"),
        ("dog", "fox", "Ann"),
        ("fox", "", "Bo"),
        ("cat", "dog", "Ann"),
    ]


def test_labels_that_nobody_has_judged_stay_so_unless_they_are_added() -> None:
    doubts = Doubts("exp/run", ("blurry", "green", "sharp"), True, (), {}, {}, ())
    present = LabelSet.of(["green"], ["blurry", "sharp"]).text
    assert LabelSet.read(checked_label(["green"], doubts, present)) == LabelSet.read(present)
    assert LabelSet.read(checked_label(["sharp"], doubts, present)) == LabelSet.of(["sharp"], ["blurry"])
