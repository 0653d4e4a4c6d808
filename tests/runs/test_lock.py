"""One writer an experiment."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from transfercli.errors import ArtefactError, BusyError, UsageError
from transfercli.io import file_lock
from transfercli.runs import lock
from transfercli.runs.folder import RunFolder
from transfercli.runs.listing import present_status
from transfercli.runs.lock import experiment_lock, held_since, run_held_since, run_lock, shared_files_lock

PACKAGE = Path(lock.__file__).parents[2]
# Workers of all kinds, as a training has them, that outlive their parent.
HOLD = """
import multiprocessing, os, subprocess, sys, time
from pathlib import Path
from transfercli.runs.lock import experiment_lock
with experiment_lock(Path(sys.argv[1])):
    workers = [subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=int(sys.argv[2])).pid]
    for method in ("fork", "spawn"):
        worker = multiprocessing.get_context(method).Process(target=time.sleep, args=(600,))
        worker.start()
        workers.append(worker.pid)
    print(*workers, flush=True)
    time.sleep(600)
"""


def test_a_second_start_is_told_since_when_and_a_killed_holder_frees_it_at_once(tmp_path: Path) -> None:
    experiment = tmp_path / "flowers"
    reads, writes = os.pipe()
    command = [sys.executable, "-c", HOLD, str(experiment), str(reads)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=PACKAGE, pass_fds=[reads]) as holder:
        assert holder.stdout is not None
        workers = [int(pid) for pid in holder.stdout.readline().split()]
        try:
            with pytest.raises(BusyError, match=r"since 20\d\d-\d\d-\d\dT"), experiment_lock(experiment):
                pass
            holder.kill()
            holder.wait()
            assert len(workers) == 3
            assert all(Path(f"/proc/{pid}").exists() or not Path("/proc").exists() for pid in workers)
            with experiment_lock(experiment):
                pass
        finally:
            for pid in workers:
                os.kill(pid, 9)
            os.close(reads)
            os.close(writes)


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


def test_a_start_that_waits_goes_on_once_the_holder_is_done(tmp_path: Path) -> None:
    waited: list[bool] = []
    (tmp_path / "something").touch()
    holder = os.open(lock.lock_file(tmp_path), os.O_RDWR | os.O_CREAT)
    os.write(holder, b"2026-01-02T03:04:05Z 1\n")
    fcntl.flock(holder, fcntl.LOCK_EX)

    def waiting() -> None:
        if not waited:
            os.close(holder)
        waited.append(True)

    with experiment_lock(tmp_path, 600, waiting):
        assert waited == [True]
    with experiment_lock(tmp_path):
        pass


@pytest.mark.parametrize("wait", [0.0, float("nan")])
def test_who_does_not_wait_is_told_at_once_and_not_of_an_earlier_holder(wait: float, tmp_path: Path) -> None:
    (tmp_path / "something").touch()
    with experiment_lock(tmp_path):
        pass
    assert lock.lock_file(tmp_path).read_bytes() == b""
    holder = os.open(lock.lock_file(tmp_path), os.O_RDWR)
    fcntl.flock(holder, fcntl.LOCK_EX)
    with pytest.raises(BusyError, match="an unknown time"), experiment_lock(tmp_path, wait):
        pass
    os.close(holder)


def test_readers_that_test_the_lock_again_and_again_do_not_make_it_busy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "something").touch()
    reader = os.open(lock.lock_file(tmp_path), os.O_RDONLY | os.O_CREAT)
    fcntl.flock(reader, fcntl.LOCK_SH)
    tries = iter(range(3))

    def released_at_the_third(_: float) -> None:
        if next(tries) == 2:
            fcntl.flock(reader, fcntl.LOCK_UN)

    monkeypatch.setattr(file_lock.time, "sleep", released_at_the_third)
    with experiment_lock(tmp_path):
        pass
    os.close(reader)


def test_a_lock_that_leads_elsewhere_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "flowers").mkdir()
    for place in ("link", "pipe"):
        if place == "link":
            lock.lock_file(tmp_path / "flowers").symlink_to("../precious")
        else:
            os.mkfifo(lock.lock_file(tmp_path / "flowers"))
        with pytest.raises(ArtefactError, match="not a regular file"), experiment_lock(tmp_path / "flowers"):
            pass
        lock.lock_file(tmp_path / "flowers").unlink()
    assert (tmp_path / "precious").read_text() == "mine"


def test_a_file_system_without_locks_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(file_lock.fcntl, "flock", refuse)
    with pytest.raises(UsageError, match="No locks available"), experiment_lock(tmp_path / "flowers"):
        pass


def test_a_runs_folder_that_leads_nowhere_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "runs").symlink_to("gone")
    with pytest.raises(UsageError, match="cannot write"), experiment_lock(tmp_path / "runs" / "flowers"):
        pass


def test_sweeps_share_an_experiment_and_any_other_command_does_not(tmp_path: Path) -> None:
    experiment = tmp_path / "flowers"
    with experiment_lock(experiment, shared=True):
        with experiment_lock(experiment, shared=True):
            busy = pytest.raises(BusyError, match=r"working on experiment 'flowers' since 20\d\d-")
            with busy, experiment_lock(experiment):
                pass
            assert held_since(experiment) is None
        (experiment / "something").touch()
        with pytest.raises(BusyError), experiment_lock(experiment):  # one sweep goes on
            pass
    assert lock.lock_file(experiment).read_bytes() == b""
    with experiment_lock(experiment), pytest.raises(BusyError), experiment_lock(experiment, shared=True):
        pass


def test_a_shared_experiment_that_got_nothing_leaves_no_folder(tmp_path: Path) -> None:
    with experiment_lock(tmp_path / "runs" / "flowers", shared=True):
        with experiment_lock(tmp_path / "runs" / "flowers", shared=True):
            pass
        assert (tmp_path / "runs" / "flowers").is_dir()
    assert os.listdir(tmp_path) == []


def test_a_run_has_one_writer_and_its_lock_tells_that_it_runs(tmp_path: Path) -> None:
    run, other = RunFolder(tmp_path / "flowers" / "s-001"), RunFolder(tmp_path / "flowers" / "s-002")
    run.path.mkdir(parents=True)
    with experiment_lock(run.path.parent, shared=True):
        with run_lock(run), run_lock(other):
            run.record.write_text('{"status": "running"}')
            assert present_status(run) == "running"
            with pytest.raises(BusyError, match="another process has been training flowers/s-001 since"), run_lock(run):
                pass
        assert present_status(run) == "interrupted"
        with run_lock(run):
            assert present_status(run) == "interrupted"  # it is started again, and its record is that of before
    assert sorted(path.name for path in run.path.parent.iterdir()) == [".lock", "s-001"]


def test_a_killed_process_frees_its_run_at_once(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "flowers" / "s-001")
    script = """
import sys, time
from pathlib import Path
from transfercli.runs.folder import RunFolder
from transfercli.runs.lock import experiment_lock, run_lock
run = RunFolder(Path(sys.argv[1]))
with experiment_lock(run.path.parent, shared=True), run_lock(run):
    print("held", flush=True)
    time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", script, str(run.path)], stdout=subprocess.PIPE, cwd=PACKAGE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        assert run_held_since(run) is not None
        with experiment_lock(run.path.parent, shared=True), pytest.raises(BusyError), run_lock(run):
            pass
        holder.kill()
        holder.wait()
    assert run_held_since(run) is None
    with experiment_lock(run.path.parent), run_lock(run):
        pass


def test_files_that_runs_share_have_one_writer_at_a_time(tmp_path: Path) -> None:
    order: list[str] = []
    released = threading.Event()

    def second() -> None:
        with shared_files_lock(tmp_path, released.set):
            order.append("second")

    with shared_files_lock(tmp_path):
        thread = threading.Thread(target=second)
        thread.start()
        assert released.wait(60)  # it waits
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
    assert os.listdir(tmp_path) == []
