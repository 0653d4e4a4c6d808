"""Ingest with worker processes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from transfercli.config.schema import ComputeConfig
from transfercli.data import ingest
from transfercli.data.dataset import Dataset
from transfercli.data.decoding import worker_client
from transfercli.data.image import Decoded


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every pass counts as large."""
    monkeypatch.setattr(ingest, "SMALL_PASS_SECONDS", 0)
    monkeypatch.setattr(ingest, "usable_cores", lambda: 2)


@pytest.mark.usefixtures("many")
def test_a_load_with_workers_equals_one_without(tmp_path: Path, grow: Any, load: Callable[..., Dataset]) -> None:
    grow(tmp_path / "images", {"cat": 30, "dog": 30})
    (tmp_path / "images" / "cat" / "bad.png").write_bytes(b"bad")
    parallel = load(tmp_path, max_bad_fraction=0.1)
    alone = load(tmp_path, max_bad_fraction=0.1, compute=ComputeConfig(cache="off", threads=1))
    assert parallel.records == alone.records
    assert parallel.assignments == alone.assignments
    for name, split in alone.splits.items():
        rows = np.arange(len(split))
        assert np.array_equal(parallel.splits[name].images.read(rows), split.images.read(rows))


@pytest.mark.usefixtures("many")
def test_workers_do_not_decode_what_the_cache_holds(
    tmp_path: Path, grow: Any, load: Callable[..., Dataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    grow(tmp_path / "images", {"cat": 30, "dog": 30})
    grow(tmp_path / "copy", {"cat": 30, "dog": 30})
    load(tmp_path)
    answers: list[Decoded] = []
    original = ingest.decode_files

    def watched(*args: Any, **options: Any) -> Any:
        for place, decoded in original(*args, **options):
            answers.append(decoded)
            yield place, decoded

    monkeypatch.setattr(ingest, "decode_files", watched)
    assert load(tmp_path, "copy").cache.hits == 60
    assert len(answers) == 60
    assert all(decoded.pixels is None for decoded in answers)


@pytest.mark.usefixtures("many")
def test_without_workers_the_images_are_read_here_with_a_warning(
    tmp_path: Path, grow: Any, load: Callable[..., Dataset], reporter: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_client, "_START", "raise SystemExit(1)")
    found = load(grow(tmp_path / "images", {"cat": 30, "dog": 30}).parent)
    assert found.cache.misses == 60
    assert "worker processes cannot be used" in reporter.warnings[0]
