"""Run a part of this package in a process of its own, which what it reads may take down without harm."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import transfercli
from transfercli.errors import died_of_no_room

_POLL = 0.2  # seconds between two looks at the child, and at a wish to stop


@dataclass(frozen=True, slots=True)
class Ended:
    """How a child ended. last_line: of its stderr, or "" where it said nothing."""

    returncode: int
    stderr: str

    @property
    def last_line(self) -> str:
        lines = self.stderr.strip().splitlines()
        return lines[-1].strip() if lines else ""

    @property
    def had_no_room(self) -> bool:
        """Whether memory or disk ran out."""
        return died_of_no_room(self.returncode, self.stderr)


def run_python(arguments: Sequence[str | Path], scratch: Path, *, timeout: float, tick: Callable[[], None]) -> Ended:
    """`python arguments…` in the folder `scratch`; `tick` is called meanwhile, and may raise to stop it all.

    It imports this very package, and nothing that happens to lie in the user's folder. Its stdout goes nowhere. Raises
    `TimeoutError` where it takes longer than `timeout` seconds; whatever is raised, the child is no more.
    """
    package = os.fspath(Path(transfercli.__file__).parent.parent)
    path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
    log = scratch / "stderr.txt"
    with log.open("wb") as stderr:
        child = subprocess.Popen(
            [sys.executable, "-P", *(os.fspath(argument) for argument in arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            cwd=scratch,
            env={"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ, "PYTHONPATH": path},
            process_group=0,  # Ctrl-C reaches the parent alone, which stops at the next `tick`
        )
        deadline = time.monotonic() + timeout
        try:
            while not _ended_within(child, _POLL):
                tick()
                if time.monotonic() > deadline:
                    raise TimeoutError(f"no end within {timeout:.0f} seconds")
        finally:
            if child.poll() is None:
                child.kill()
                child.wait()
    return Ended(child.returncode, log.read_text(encoding="utf-8", errors="replace"))


def _ended_within(child: subprocess.Popen[bytes], seconds: float) -> bool:
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True
