"""Temporary folders that end with their process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.source_tree import PACKAGE
from transfercli.io.scratch import scratch_folder

HOLDER = """\
import pathlib, sys
from transfercli.io.scratch import scratch_folder
with scratch_folder("flowers-") as folder:
    pathlib.Path(folder, "weights").write_bytes(bytes(100))
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@contextmanager
def holder() -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Start a process that holds a folder until its input ends."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE.parent)}
    with subprocess.Popen([sys.executable, "-c", HOLDER], env=environment, text=True, **pipes) as process:
        assert process.stdout is not None
        try:
            yield process, Path(process.stdout.readline().strip())
        finally:
            process.kill()


def test_a_folder_is_removed_at_the_end(temporary: Path) -> None:
    with scratch_folder("flowers-") as folder:
        (folder / "file").touch()
        assert list(temporary.iterdir()) == [folder]
    assert list(temporary.iterdir()) == []


def test_the_folder_of_a_killed_process_is_removed_by_the_next(temporary: Path) -> None:
    with holder() as (process, left):
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert (left / "weights").exists()
    with scratch_folder("flowers-") as folder:
        assert list(temporary.iterdir()) == [folder]


def test_the_folder_of_a_process_that_lives_stays(temporary: Path) -> None:
    with holder() as (_, held), scratch_folder("flowers-"):
        assert (held / "weights").exists()


def test_only_folders_of_the_same_prefix_are_removed(temporary: Path) -> None:
    (temporary / "flowers").mkdir()
    (temporary / "flowers-list").touch()
    (temporary / "flowers-link").symlink_to(temporary / "flowers")
    with scratch_folder("flowers-"):
        pass
    assert sorted(path.name for path in temporary.iterdir()) == ["flowers", "flowers-link", "flowers-list"]
