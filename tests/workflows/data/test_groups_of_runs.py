"""Groups of a run's images in evaluations, comparisons and drift."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.listener import Listener
from transfercli.data.manifest import read_manifest, write_manifest
from transfercli.reporting import Reporter
from transfercli.runs.folder import RunFolder
from transfercli.workflows.compare.compare import compare_runs
from transfercli.workflows.compare.comparison import CompareRequest
from transfercli.workflows.data.drift import DriftRequest, data_drift
from transfercli.workflows.evaluate.evaluate import EvaluateRequest, evaluate_run


@pytest.fixture
def grouped(source: Any, tmp_path: Path) -> Any:
    """Return a function that copies the run of the digits with a value for `data.group`."""

    def copy(group: str) -> RunFolder:
        run = RunFolder(tmp_path / "runs" / "digits-source" / Path(source[1]["run"]).name)
        shutil.copytree(source[1]["run"], run.path, symlinks=True)
        text = run.config.read_text()
        assert "group: null" in text
        run.config.write_text(re.sub(r"(?m)^  group: null$", lambda _: f"  group: '{group}'", text, count=1))
        return run

    return copy


def test_a_run_from_before_groups_were_recorded_has_those_of_its_expression(
    grouped: Any, recent: Path, tmp_path: Path
) -> None:
    run = grouped(r"(\d)\.png$")
    listener = Listener()
    result = evaluate_run(EvaluateRequest(str(run.path), tmp_path / "runs"), listener)
    assert result.as_json()["groups"] == 10
    page = result.report.read_text()
    assert "178 images in 10 groups" in page
    (one,) = compare_runs(CompareRequest((str(run.path), str(run.path)), tmp_path / "runs"), Reporter()).as_json()[
        "comparisons"
    ]
    assert (one["examples"], one["groups"]) == (178, 10)
    drift = data_drift(DriftRequest(str(run.path), recent, tmp_path / "runs"), listener).as_json()
    assert (drift["images"], drift["groups"], drift["reference"]["predictions"]["groups"]) == (89, 10, 10)
    assert not drift["drifted"]
    assert not any("independent" in warning for warning in listener.warnings)


def test_groups_of_a_column_are_those_recorded_and_recent_images_have_none(
    grouped: Any, recent: Path, tmp_path: Path
) -> None:
    run = grouped("subject")
    records = read_manifest(run.dataset)
    write_manifest(run.dataset, [replace(each, group=f"subject {n % 40}") for n, each in enumerate(records)])
    result = evaluate_run(EvaluateRequest(str(run.path), tmp_path / "runs", tta=True), Reporter()).as_json()
    assert result["groups"] == 40
    listener = Listener()
    drift = data_drift(DriftRequest(str(run.path), recent, tmp_path / "runs"), listener).as_json()
    assert (drift["groups"], drift["reference"]["predictions"]["groups"]) == (None, 40)
    assert any("recent images are taken as independent" in warning for warning in listener.warnings)
