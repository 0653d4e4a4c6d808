"""The printed metrics of each label."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.evaluation.multilabel.answers import random_answers
from transfercli.cli.ui.label_tables import show_labels
from transfercli.evaluation.multilabel.result import evaluate_labels

PROMISES = [{"promised_precision": 0.25 + label / 100, "promised_recall": 0.5} for label in range(6)]


@pytest.mark.parametrize(
    "rule, shown",
    [
        ({"precision": 0.9}, ["promised precision"]),
        ({"recall": 0.9}, ["promised recall"]),
        ("f1", ["promised precision", "promised recall"]),
        (None, []),
    ],
)
def test_each_label_has_what_its_threshold_promises(
    rule: Any, shown: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    trust = {"thresholds": {"rule": rule, "labels": PROMISES}}
    show_labels(replace(evaluate_labels(random_answers(0)), trust=trust))
    header, _, *rows = capsys.readouterr().out.strip().splitlines()
    assert [name for name in ("promised precision", "promised recall") if name in header] == shown
    assert (" and ".join(shown) + ": of new images at least, with 95% certainty" in rows[6]) == bool(shown)
    if shown:
        assert rows[1].split()[-len(shown)] == ("0.5000" if rule == {"recall": 0.9} else "0.2600")
