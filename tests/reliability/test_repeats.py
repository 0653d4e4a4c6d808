"""The same bits in fresh processes, and nothing left behind by many runs in one."""

from __future__ import annotations

import gc
import hashlib
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.reliability.trials import ending_of, run_of, write_world
from transfercli.reporting import Reporter


def hashes_of(folder: Path, label: str) -> str:
    ending = ending_of(run_of(folder, label))
    return hashlib.sha256(repr((sorted(ending.tensors.items()), ending.links, ending.history)).encode()).hexdigest()


@pytest.mark.slow
def test_ten_fresh_processes_end_with_the_same_bits(tmp_path: Path, digits_folder: Path) -> None:
    write_world(tmp_path, digits_folder / "digits")
    for trial in range(10):
        command = [sys.executable, "-m", "transfercli", "pretrain", "two.yaml", "--run-id", f"fresh-{trial}"]
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, stdin=subprocess.DEVNULL)
    assert len({hashes_of(tmp_path, f"two/fresh-{trial}") for trial in range(10)}) == 1


def memory() -> int:
    """Bytes that this process holds now."""
    found = re.search(r"VmRSS:\s*(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


@pytest.mark.slow
def test_fifty_runs_in_one_process_leave_no_memory_and_no_file_behind(
    tmp_path: Path, digits_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transfercli.workflows.train.train import TrainRequest, train

    write_world(tmp_path, digits_folder / "digits")
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    held, files = [], []
    for trial in range(50):
        train(TrainRequest("pretrain", tmp_path / "one.yaml", tmp_path / "runs", run_id=f"run-{trial}"), Reporter())
        gc.collect()
        held.append(memory())
        files.append(len(os.listdir("/proc/self/fd")))
    told = f"MB {[round(one / 1e6) for one in held]}, files {files}"
    assert held[-1] < 1.05 * held[1], told  # the first compiles and fills what is kept once
    assert files[-1] == files[1], told
    left = os.listdir(tmp_path / "temporary")  # TensorFlow's AutoGraph writes a file, once, and removes it at the end
    assert len(left) <= 1, left
    assert all(name.startswith("__autograph_generated_file") for name in left)
