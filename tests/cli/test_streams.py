"""Nobody reads stdout or stderr any more: the work goes on, and the program ends as Unix tools do."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

FULL = Path("/dev/full")
# A command that reports to a stderr that is lost, and then has a result.
WORK = """
import sys
from pathlib import Path
from transfercli.cli.runner import run_command
from transfercli.cli.streams import prepare_standard_files
from transfercli.workflows.result import Result

class Found:
    def as_json(self):
        return {"lines": 3}

def work(console):
    console.attach_log(Path("log.txt"))
    sys.stdin.readline()
    for number in range(3):
        console.warning(f"line {number}")
        print("a library prints")
    return Found()

prepare_standard_files()
run_command(work, lambda result: print("done"), as_json=False, quiet=False, verbose=False)
"""


def lost_pipe() -> tuple[int, Callable[[], None]]:
    reader, writer = os.pipe()
    return writer, lambda: os.close(reader)


def lost_terminal() -> tuple[int, Callable[[], None]]:
    terminal, stderr = pty.openpty()
    return stderr, lambda: os.close(terminal)


def full_disk() -> tuple[int, Callable[[], None]]:
    return os.open(FULL, os.O_WRONLY), lambda: None


def full_pipe_that_does_not_block() -> tuple[int, Callable[[], None]]:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    while True:
        try:
            os.write(writer, b"x" * 4096)
        except BlockingIOError:
            return writer, lambda: os.close(reader)


LOSSES = [lost_pipe, lost_terminal, full_pipe_that_does_not_block, *([full_disk] if FULL.exists() else [])]


@pytest.mark.parametrize("loss", LOSSES)
def test_work_goes_on_without_stderr_and_its_log_is_whole(tmp_path: Path, loss: Callable[..., object]) -> None:
    stderr, lose = loss()  # type: ignore[misc]
    command = [sys.executable, "-c", WORK]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, cwd=tmp_path, start_new_session=True
    ) as process:
        os.close(stderr)
        lose()
        stdout, _ = process.communicate(b"go on\n", timeout=60)
    assert (process.returncode, stdout) == (0, b"done\n")
    assert (tmp_path / "log.txt").read_text() == "".join(f"warning: line {number}\n" for number in range(3))


PRINTING = (["--help"], ["config", "schema"], ["runs", "list"], ["runs", "list", "--json"])


@pytest.mark.parametrize("arguments", PRINTING)
@pytest.mark.parametrize("loss", [lost_pipe, lost_terminal])
def test_a_reader_of_stdout_that_is_gone_ends_it_quietly(
    tmp_path: Path, arguments: list[str], loss: Callable[..., object]
) -> None:
    stdout, lose = loss()  # type: ignore[misc]
    lose()
    done = subprocess.run(
        [sys.executable, "-m", "transfercli", *arguments], stdout=stdout, stderr=subprocess.PIPE, cwd=tmp_path
    )
    os.close(stdout)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(not FULL.exists(), reason="the system has no /dev/full")
@pytest.mark.parametrize("arguments", PRINTING)
def test_a_full_disk_behind_stdout_is_exit_8_and_speaks_of_stdout_only(tmp_path: Path, arguments: list[str]) -> None:
    with FULL.open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "transfercli", *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
        )
    assert done.returncode == 8
    assert done.stderr.splitlines() == ["error: the result cannot be written to stdout: No space left on device"]
