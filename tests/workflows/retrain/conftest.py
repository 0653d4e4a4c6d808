"""Nights of one experiment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.workflows.retrain.nights import Nights, write_config


@pytest.fixture
def nights(source: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Nights:
    """Exports, which take a process each, have a test of their own."""
    from transfercli.workflows.retrain import retrain

    monkeypatch.setattr(retrain, "export_failure", lambda *_: "")
    world, earlier = source
    found = Nights(tmp_path / "images", world.samples, tmp_path / "nightly.yaml", tmp_path / "runs")
    for label in "567":
        found.add(label, 0, 40)
    write_config(found, earlier["run"])
    return found
