"""A run of digits that is champion, and its export."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from transfercli.io import atomic
from transfercli.reporting import Reporter
from transfercli.workflows.export.export import ExportRunRequest, export_run

FIRST, SECOND = "first", "second"


@pytest.fixture(scope="session")
def champion(source: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs: the experiment `digits` with the runs `first`, the champion, and `second`, both with ONNX."""
    _, result = source
    runs = tmp_path_factory.mktemp("served") / "runs"
    first = runs / "digits" / FIRST
    shutil.copytree(result["run"], first)
    export_run(ExportRunRequest(str(first), runs, ("onnx",)), Reporter())
    shutil.copytree(first, runs / "digits" / SECOND)
    atomic.replace_symlink(runs / "digits" / "champion", FIRST)
    return runs


@pytest.fixture
def runs(champion: Path, tmp_path: Path) -> Path:
    """A copy of `champion` for a test that changes it."""
    return Path(shutil.copytree(champion, tmp_path / "runs", symlinks=True))


@pytest.fixture(scope="session")
def pictures(source: Any) -> list[Path]:
    """Files of digits 0 to 4."""
    return sorted((source[0].samples / "digits-source" / "test").rglob("*.png"))[::4]
