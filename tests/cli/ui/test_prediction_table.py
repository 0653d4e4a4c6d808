"""Table of predictions: how it marks answers that are not to be trusted."""

from __future__ import annotations

import io

import pytest

from transfercli.cli.ui.prediction_table import write_table
from transfercli.workflows.predict.predict import Prediction

TOP = (("trouser", 0.9999),)


def test_a_strange_image_is_marked_as_such_and_an_unsure_answer_as_unsure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    answers = [
        Prediction("strange.png", TOP, abstained=True, unknown=1.5, strange=True),
        Prediction("unsure.png", TOP, abstained=True, unknown=0.5, strange=False),
        Prediction("noticed.png", TOP, unknown=1.5, strange=True),  # without --abstain
        Prediction("sure.png", TOP, unknown=0.5, strange=False),
    ]
    out = io.StringIO()
    write_table(answers, ("trouser", "shirt"), 1, out)
    _, _, *rows, _, summary, _ = out.getvalue().splitlines()
    marks = ("strange: trouser", "unsure: trouser", "strange: trouser", "trouser")
    assert [" ".join(row.split()) for row in rows] == [
        f"{mark} 0.9999 {answer.path}" for mark, answer in zip(marks, answers, strict=True)
    ]
    assert summary == "4 images: trouser (4); 2 strange, unlike the training images"


def test_several_labels_share_a_column_and_an_image_without_one_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    top = (("beach", 0.9), ("dog", 0.8), ("sunset", 0.1))
    answers = [
        Prediction("both.png", top, answered=top[:2]),
        Prediction("none.png", (("dog", 0.3), ("beach", 0.2), ("sunset", 0.1)), answered=()),
        Prediction("gone.png", error="does not exist"),
    ]
    out = io.StringIO()
    write_table(answers, ("beach", "dog", "sunset"), 3, out, several=True)
    header, _, *rows, _, summary, _ = out.getvalue().splitlines()
    assert header.split() == ["labels", "probability", "then", "image"]
    assert [" ".join(row.split()) for row in rows] == [
        "beach, dog 0.9000 sunset 0.1000 both.png",
        "(none) - dog 0.3000, beach 0.2000, sunset 0.1000 none.png",
        "- - - gone.png (not read: does not exist)",
    ]
    assert summary == "3 images: beach (1), dog (1), (none) (1), not read (1)"


def test_the_labels_that_the_model_abstains_from_have_a_column(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    top = (("beach", 0.9), ("dog", 0.8), ("sunset", 0.1))
    answers = [
        Prediction("sure.png", top, answered=top[:1], unsure=()),
        Prediction("one.png", top, True, answered=top[:2], unsure=("dog",)),
        Prediction("strange.png", top, True, strange=True, unknown=2, answered=(), unsure=("beach", "sunset")),
        Prediction("all.png", top, True, answered=top[:1], unsure=("beach", "dog", "sunset")),
        Prediction("gone.png", error="does not exist"),
    ]
    out = io.StringIO()
    write_table(answers, ("beach", "dog", "sunset"), 1, out, several=True, abstain=True)
    header, _, *rows = out.getvalue().splitlines()
    assert header.split() == ["labels", "probability", "then", "unsure", "of", "image"]
    doubts = [row[header.index("unsure of") :].split("  ")[0] for row in rows[:5]]
    assert doubts == ["", "dog", "beach, sunset", "all labels", "-"]
    assert rows[2].startswith("strange: (none)")
    assert "unsure: " not in out.getvalue()


def test_more_unsure_labels_than_fit_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    labels = tuple(f"label-{number:02}" for number in range(30))
    answer = Prediction("a.png", ((labels[0], 0.9),), True, answered=(), unsure=labels[:9])
    out = io.StringIO()
    write_table([answer], labels, 1, out, several=True, abstain=True)
    assert "label-00 and 8 more" in out.getvalue()
