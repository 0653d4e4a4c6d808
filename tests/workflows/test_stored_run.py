"""Stored runs: their probabilities are those of the whole model in float32, calibrated."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.listener import Listener
from transfercli.data.dataset import Record
from transfercli.data.manifest import write_manifest
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
    class OfClasses(StoredRun):
        several = has_numbers = False  # without reading the config, which this folder lacks

    np.testing.assert_allclose(OfClasses(RunFolder(tmp_path)).calibrate(np.log(logits)), [[0.25, 0.75]], atol=1e-6)


COMPOSED, DECOMPOSED = (unicodedata.normalize(form, "caf\u00e9") for form in ("NFC", "NFD"))


def run_with(folder: Path, labels: list[str], listener: Listener) -> StoredRun:
    """A run of an earlier version, which stored names as they were found."""
    run = RunFolder(folder)
    run.labels.write_text(json.dumps(labels))
    write_manifest(run.dataset, [Record(f"{number}.png", "x", label, "test") for number, label in enumerate(labels)])
    return StoredRun(run, listener)


def test_names_of_an_earlier_version_are_normalised_and_keep_their_index(tmp_path: Path) -> None:
    stored, listener = ["the ", "dog", DECOMPOSED], Listener()
    run = run_with(tmp_path, stored, listener)
    assert run.labels == ("the", "dog", COMPOSED)
    assert [image.label for image in run.images] == ["the", "dog", COMPOSED]
    assert json.loads(run.folder.labels.read_text()) == stored  # no stored file is rewritten
    assert listener.warnings == []


def test_two_classes_of_a_run_never_become_one(tmp_path: Path) -> None:
    listener = Listener()
    run = run_with(tmp_path, [DECOMPOSED, COMPOSED, "the "], listener)
    write_manifest(run.folder.dataset, [Record("1.png", "x", DECOMPOSED, "test")])  # the head has more classes
    assert run.labels == (DECOMPOSED, COMPOSED, "the")
    assert run.labels == (DECOMPOSED, COMPOSED, "the")
    assert [image.label for image in run.images] == [DECOMPOSED]
    [warning] = listener.warnings
    assert "their Unicode form only" in warning
    assert "U+0065 U+0301" in warning
