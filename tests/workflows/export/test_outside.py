"""An artefact of several labels outside the program, by the code of its model card alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.labels_outside import run_outside
from tests.workflows.predict.predicted import said
from transfercli.reporting import Reporter
from transfercli.workflows.export.export import ExportRunRequest, export_run


@pytest.mark.parametrize(
    "formats",
    [("onnx", "litert"), pytest.param(("saved_model", "keras", "safetensors", "openvino"), marks=pytest.mark.slow)],
)
def test_the_code_of_the_card_gives_the_labels_that_predict_gives(
    formats: tuple[str, ...], scenes: Any, tmp_path: Path
) -> None:
    world, run = scenes
    files = [str(file) for file in sorted((world.folder / "scenes").glob("*.png"))[:40]]
    answers = said(world, run, files)
    expected = np.array([[dict(one.top)[label] for label in "0123"] for one in answers])
    export_run(ExportRunRequest(str(run), world.runs, formats, out=tmp_path), Reporter())
    for name in formats:
        found = run_outside(tmp_path, name, files)
        assert [set(labels) for labels in found.sets] == [{label for label, _ in one.answered or ()} for one in answers]
        assert np.abs(found.probabilities - expected).max() < 1e-5
