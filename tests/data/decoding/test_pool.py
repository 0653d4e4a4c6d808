from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from transfercli.config.schema import ComputeConfig
from transfercli.data import ingest
from transfercli.data.dataset import Dataset
from transfercli.data.decoding import worker_client
from transfercli.data.decoding.decode import decode_file
from transfercli.data.decoding.pool import decode_files
from transfercli.data.decoding.worker_client import WorkersUnavailableError
from transfercli.data.image import Decoded, Geometry

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
PARENT = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
from transfercli.data.decoding.decode import Geometry
from transfercli.data.decoding.pool import decode_files
answers = decode_files(sys.argv[1:], Geometry(64, 64), workers=2)
next(answers)
print("started", flush=True)
sys.stdin.read()
"""


def plain(decoded: Decoded) -> dict[str, Any]:
    return asdict(decoded) | {"pixels": None if decoded.pixels is None else decoded.pixels.tobytes()}


@pytest.fixture
def files(tmp_path: Path, png: Callable[[int], bytes]) -> list[str]:
    """Good and bad files with names that need care between processes."""
    names = [f"{n} a\nb \udce9 日.png" for n in range(40)]
    for n, name in enumerate(names):
        (tmp_path / name).write_bytes(b"bad" if n % 7 == 3 else png(n)[:-40] if n % 7 == 5 else png(n))
    return [str(tmp_path / name) for name in names] + [str(tmp_path / "missing.png")]


def test_workers_give_the_same_bits_as_this_process(files: list[str]) -> None:
    found = dict(decode_files(files, SMALL, workers=2))
    assert sorted(found) == list(range(len(files)))
    for place, path in enumerate(files):
        assert plain(found[place]) == plain(decode_file(path, SMALL))


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


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="asks the kernel for the end of a process that is no child")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_workers_end_with_their_parent_whatever_ends_it(number: signal.Signals, files: list[str]) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, *files * 8],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"started\n"
        children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
        handles = [os.pidfd_open(int(child)) for child in children]
        parent.send_signal(number)
        parent.wait()
    assert len(handles) == 2
    for handle in handles:
        assert select.select([handle], [], [], 20)[0], "a worker outlived its parent"
        os.close(handle)


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
