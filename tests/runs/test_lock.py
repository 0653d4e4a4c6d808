"""One writer an experiment."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from transfercli.errors import BusyError
from transfercli.runs.lock import experiment_lock

HOLD = """
import sys
from pathlib import Path
from transfercli.runs.lock import experiment_lock
with experiment_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_start_is_told_since_when_and_a_killed_holder_frees_it_at_once(tmp_path: Path) -> None:
    experiment = tmp_path / "flowers"
    command = [sys.executable, "-c", HOLD, str(experiment)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        with pytest.raises(BusyError, match=r"since 20\d\d-"), experiment_lock(experiment):
            pass
        holder.kill()
        holder.wait()
        with experiment_lock(experiment):
            pass


def test_a_forked_child_does_not_keep_the_lock(tmp_path: Path) -> None:
    ready, go = os.pipe(), os.pipe()
    (tmp_path / "flowers").mkdir()
    (tmp_path / "flowers" / "something").touch()
    with experiment_lock(tmp_path / "flowers"):
        child = os.fork()
        if child == 0:
            os.write(ready[1], b"x")
            os.read(go[0], 1)
            os._exit(0)
        os.read(ready[0], 1)
    with experiment_lock(tmp_path / "flowers"):
        os.write(go[1], b"x")
    os.waitpid(child, 0)


def test_an_experiment_that_got_nothing_leaves_no_folder(tmp_path: Path) -> None:
    with experiment_lock(tmp_path / "runs" / "flowers"):
        assert (tmp_path / "runs" / "flowers").is_dir()
    assert os.listdir(tmp_path) == []
