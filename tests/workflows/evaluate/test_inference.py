"""Probabilities of a stored run: its whole model in float32, calibrated."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.listener import Listener
from transfercli.runs.folder import RunFolder
from transfercli.workflows.evaluate.evaluate import read_split
from transfercli.workflows.evaluate.inference import calibrated, probabilities_of, split_logits
from transfercli.workflows.model import load_run


@pytest.fixture(scope="module")
def trained(source: Any) -> Any:
    return load_run(RunFolder(Path(source[1]["run"])), Listener())


def test_probabilities_are_those_of_the_logits_over_the_temperature(trained: Any) -> None:
    listener = Listener()
    split = read_split(trained.run, trained.config, trained.labels, "validation", listener)
    logits = split_logits(trained, split, listener)
    found = probabilities_of(trained, split, listener)
    assert (logits.shape, logits.dtype, found.dtype) == ((len(split), 5), np.float32, np.float32)
    exps = np.exp(logits.astype(float) / trained.trust.temperature)
    np.testing.assert_allclose(found, exps / exps.sum(axis=1, keepdims=True), atol=1e-6)
    assert listener.steps[-1][:3] == ("evaluate", len(split), len(split))


def test_a_run_without_calibration_has_plain_probabilities_and_one_unit_gives_two_columns(trained: Any) -> None:
    plain = replace(trained, trust=None)
    np.testing.assert_allclose(calibrated(plain, np.log([[1.0, 3.0]])), [[0.25, 0.75]], atol=1e-6)
    np.testing.assert_allclose(calibrated(plain, np.log([[3.0]])), [[0.25, 0.75]], atol=1e-6)
