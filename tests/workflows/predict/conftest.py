"""A run, and artefacts of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from transfercli.reporting import Reporter
from transfercli.workflows.export.export import ExportRunRequest, export_run


@pytest.fixture(scope="session")
def run(source: Any) -> Any:
    """(world, name of the run, some image files of it in a given order)."""
    world, result = source
    files = sorted((world.samples / "digits-source" / "test").rglob("*.png"))[::5]
    return world, Path(result["run"]), [str(file) for file in files]


@pytest.fixture(scope="session")
def exported(run: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """(folder, {format: path as the result tells it}) of a SavedModel and an ONNX file of the run."""
    world, folder, _ = run
    out = tmp_path_factory.mktemp("exported")
    made = export_run(ExportRunRequest(str(folder), world.runs, ("onnx", "saved_model"), out=out), Reporter()).artefacts
    return out, {one["format"]: one["path"] for one in made}
