from __future__ import annotations

import subprocess
import threading
from dataclasses import asdict
from typing import Any

import pytest

from transfercli.data.decoding import worker_client
from transfercli.data.decoding.decode import decode_file
from transfercli.data.decoding.pool import decode_files
from transfercli.data.image import Decoded, Geometry

SMALL = Geometry(16, 20)


def plain(decoded: Decoded) -> dict[str, Any]:
    return asdict(decoded) | {"pixels": None if decoded.pixels is None else decoded.pixels.tobytes()}


def test_workers_give_the_same_bits_as_this_process(files: list[str]) -> None:
    found = dict(decode_files(files, SMALL, workers=2))
    assert sorted(found) == list(range(len(files)))
    for place, path in enumerate(files):
        assert plain(found[place]) == plain(decode_file(path, SMALL))


def test_closing_the_answers_ends_the_workers(files: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []
    start = worker_client._process

    def remembered() -> subprocess.Popen[bytes]:
        started.append(start())
        return started[-1]

    monkeypatch.setattr(worker_client, "_process", remembered)
    threads = threading.active_count()
    answers = decode_files(files * 50, SMALL, workers=2)
    next(answers)
    answers.close()
    assert len(started) == 2
    assert all(process.returncode is not None for process in started)
    assert threading.active_count() == threads
