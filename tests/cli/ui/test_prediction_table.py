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
