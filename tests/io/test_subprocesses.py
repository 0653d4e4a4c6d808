"""Child processes that run a part of the package."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from transfercli.io.subprocesses import ProcessResult, run_python


def run(code: str, scratch: Path, timeout: float = 60.0, tick=lambda: None) -> ProcessResult:
    return run_python(["-c", code], scratch, timeout=timeout, tick=tick)


def test_a_child_works_in_its_scratch_folder_and_imports_this_package(tmp_path: Path) -> None:
    (tmp_path / "transfercli.py").write_text("raise SystemExit('the wrong module')")
    code = "import os, transfercli; open('found', 'w').write(f'{os.getcwd()} {transfercli.__version__}')"
    assert run(code, tmp_path).returncode == 0
    folder, version = (tmp_path / "found").read_text().split()
    assert Path(folder).samefile(tmp_path)
    assert version


@pytest.mark.parametrize(
    "code, returncode, line, out_of_space",
    [
        ("", 0, "", False),
        ("import sys; sys.exit('first\\n  second  \\n')", 1, "second", False),
        ("raise MemoryError", 1, "MemoryError", True),
        ("import os; os.kill(os.getpid(), 9)", -9, "", True),
    ],
)
def test_the_end_of_a_child_is_reported(
    tmp_path: Path, code: str, returncode: int, line: str, out_of_space: bool
) -> None:
    ended = run(code, tmp_path)
    assert (ended.returncode, ended.last_line, ended.ran_out_of_space) == (returncode, line, out_of_space)


def child_of(scratch: Path) -> int:
    """Return the process id that the child wrote, once it is there."""
    while not (scratch / "pid").exists() or not (scratch / "pid").read_text():
        time.sleep(0.01)
    return int((scratch / "pid").read_text())


SLEEPER = "import os, time; open('pid', 'w').write(str(os.getpid())); time.sleep(300)"


def test_a_child_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    with pytest.raises(TimeoutError, match="not finished within 1 seconds"):
        run(SLEEPER, tmp_path, timeout=1.0)
    with pytest.raises(ProcessLookupError):
        os.kill(child_of(tmp_path), 0)


def test_an_error_of_the_tick_ends_the_child_and_is_raised(tmp_path: Path) -> None:
    def tick() -> None:
        child_of(tmp_path)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(SLEEPER, tmp_path, tick=tick)
    with pytest.raises(ProcessLookupError):
        os.kill(child_of(tmp_path), 0)
