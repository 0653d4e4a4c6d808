"""Workers that fail, as their client reports them."""

from __future__ import annotations

from pathlib import Path

import pytest

from transfercli.data.decoding import worker_client
from transfercli.data.decoding.decode import decode_file
from transfercli.data.decoding.pool import decode_files
from transfercli.data.decoding.worker_client import WorkersUnavailableError
from transfercli.data.image import Geometry

SMALL = Geometry(16, 20)


# A worker whose decoder ends the process at files with a certain name.
KILLER = """
import json, os, sys
sys.path[:] = json.loads(sys.argv[1])
from transfercli.data.decoding import worker
decode = worker.decode_file
def deadly(path, *rest):
    if "deadly" in path:
        os._exit(3)
    return decode(path, *rest)
worker.decode_file = deadly
worker.main()
"""


def test_a_file_that_kills_its_worker_is_reported_and_the_others_are_read(
    tmp_path: Path, files: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_client, "_START", KILLER)
    mixed = [*files[:20], str(tmp_path / "deadly.png"), *files[20:]]
    found = dict(decode_files(mixed, SMALL, workers=2))
    assert "crashes the decoder" in found[20].problem
    del found[20]
    assert sum(not one.problem for one in found.values()) == sum(not decode_file(f, SMALL).problem for f in files)


def test_workers_that_cannot_start_are_an_error_not_a_folder_of_bad_files(
    files: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_client, "_START", "raise SystemExit(1)")
    with pytest.raises(WorkersUnavailableError):
        list(decode_files(files, SMALL, workers=2))
