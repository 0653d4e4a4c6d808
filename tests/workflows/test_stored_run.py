"""Stored runs: their probabilities are those of the whole model in float32, calibrated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.listener import Listener
from transfercli.runs.folder import RunFolder
from transfercli.workflows.stored_run import StoredRun


def test_probabilities_are_those_of_the_logits_over_the_temperature(source: Any) -> None:
    listener = Listener()
    run = StoredRun(RunFolder(Path(source[1]["run"])), listener)
    split = run.split("validation")
    logits, found = run.logits(split), run.probabilities(split)
    assert (logits.shape, logits.dtype, found.dtype) == ((len(split), 5), np.float32, np.float32)
    exps = np.exp(logits.astype(float) / run.trust.temperature)
    np.testing.assert_allclose(found, exps / exps.sum(axis=1, keepdims=True), atol=1e-6)
    assert listener.steps[-1][:3] == ("evaluate", len(split), len(split))


@pytest.mark.parametrize("logits", [[[1.0, 3.0]], [[3.0]]], ids=["two classes", "one sigmoid unit"])
def test_a_run_without_calibration_has_plain_probabilities(tmp_path: Path, logits: list[list[float]]) -> None:
    np.testing.assert_allclose(StoredRun(RunFolder(tmp_path)).calibrate(np.log(logits)), [[0.25, 0.75]], atol=1e-6)
