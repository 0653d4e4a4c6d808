"""A cache on a network disk is named once, with what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.listener import Listener
from transfercli.config.schema import ComputeConfig
from transfercli.data.cache import network_disk
from transfercli.data.image import Geometry
from transfercli.data.ingest import Ingest, Reading
from transfercli.workflows.sweep.search import storage


def test_it_is_said_once_with_the_fix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network_disk, "network_disk", lambda _: "nfs4")
    listener, compute = Listener(), ComputeConfig(cache_dir=str(tmp_path / "cache"))
    for _ in range(2):
        with Ingest(Reading(Geometry(8, 8), 0, compute, listener), 1):
            pass
    (warning,) = listener.warnings
    assert "network disk (nfs4)" in warning
    assert "transfercli cache merge" in warning


def test_a_storage_of_a_sweep_is_named_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "network_disk", lambda path: "nfs4" if str(path).startswith("/mnt") else "")
    listener = Listener()
    for address in (None, "journal:/mnt/x", "sqlite:///here.db", "postgresql://host/mnt", "sqlite:////mnt/x.db?a=b"):
        storage.warn_of_network_disk(address, listener)
    (warning,) = listener.warnings
    assert "'/mnt/x.db'" in warning
    assert "journal:PATH" in warning
