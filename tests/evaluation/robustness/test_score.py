from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest

from transfercli.evaluation.predictions import Predictions
from transfercli.evaluation.robustness.corruptions import CORRUPTIONS, SEVERITIES
from transfercli.evaluation.robustness.score import corruption_summary, score_corruption
from transfercli.evaluation.statistics.intervals import wilson


def test_one_severity_is_told_with_its_interval_and_what_changed(make: Callable[..., Predictions]) -> None:
    plain = make([0, 1, 2, 0], [0, 1, 2, 1])  # the last one is wrong
    said = np.array([0, 2, 2, 1])  # the second is another class than before; the last one is wrong as before
    row = score_corruption(plain, said, CORRUPTIONS["blur"], 5, (112, 300))
    assert row.pop("interval") == pytest.approx(wilson(2, 4))
    assert row == {"corruption": "blur", "severity": 5, "parameter": 3.0, "accuracy": 0.5, "changed": 0.25}


def test_the_mean_corruption_error_is_that_worked_by_hand(make: Callable[..., Predictions]) -> None:
    targets = [0, 1, 2, 0, 1, 2, 0, 1, 2, 0]
    plain = make(targets, [*targets[:9], 1])  # one of ten wrong: an error of 0.1
    wrong = {"noise": [1, 2, 3, 4, 5], "jpeg": [0, 1, 1, 2, 6]}  # errors 0.3 and 0.2 on average
    rows = []
    for name, numbers in wrong.items():
        for severity, number in zip(SEVERITIES, numbers, strict=True):
            said = np.array(targets)
            said[:number] = (said[:number] + 1) % 3
            rows.append(score_corruption(plain, said, CORRUPTIONS[name], severity, (32, 32)))
    found = corruption_summary(plain, rows, 3)
    assert found["errors"] == pytest.approx({"noise": 0.3, "jpeg": 0.2})
    assert found["mean_corruption_error"] == pytest.approx(0.25)
    assert found["clean_error"] == pytest.approx(0.1)
    assert found["relative_corruption_error"] == pytest.approx(0.15)
    assert (found["seed"], found["corruptions"]) == (3, rows)
    json.dumps(found, allow_nan=False)


def test_a_model_may_do_better_on_corrupted_images(make: Callable[..., Predictions]) -> None:
    plain = make([0, 1], [0, 0])
    rows = [
        score_corruption(plain, np.array([0, 1]), CORRUPTIONS["noise"], severity, (8, 8)) for severity in SEVERITIES
    ]
    assert corruption_summary(plain, rows, 0)["relative_corruption_error"] == -0.5
