"""Child processes that run a part of this package, so that a file that crashes its reader ends only the child."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import transfercli
from transfercli.errors import child_ran_out_of_space

# As a folder it can neither exist nor be made, so that Keras neither reads nor writes a keras.json in it.
NO_KERAS_HOME = f"{os.devnull}/keras"
# Variables that change or limit a training; Keras reads them when it is imported.
KERAS_VARIABLES = ("KERAS_MAX_EPOCHS", "KERAS_MAX_STEPS_PER_EPOCH", "KERAS_NNX_ENABLED")
_POLL = 0.2  # seconds between two checks of the child and of a request to stop


@dataclass(frozen=True, slots=True)
class ProcessResult:
    """Exit status and stderr of a child process that has ended."""

    returncode: int
    stderr: str

    @property
    def last_line(self) -> str:
        """Last line of stderr, or "" if it is empty."""
        lines = self.stderr.strip().splitlines()
        return lines[-1].strip() if lines else ""

    @property
    def ran_out_of_space(self) -> bool:
        """True if the child ended because memory or disk ran out."""
        return child_ran_out_of_space(self.returncode, self.stderr)


def child_environment() -> dict[str, str]:
    """Return the environment of a child process: this one, with this package to import, and Keras' own defaults."""
    package = os.fspath(Path(transfercli.__file__).parent.parent)
    path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
    inherited = {name: value for name, value in os.environ.items() if name not in KERAS_VARIABLES}
    return {"TF_CPP_MIN_LOG_LEVEL": "3", **inherited, "PYTHONPATH": path, "KERAS_HOME": NO_KERAS_HOME}


def run_python(
    arguments: Sequence[str | Path],
    scratch: Path,
    *,
    timeout: float,
    tick: Callable[[], None],
    environment: Mapping[str, str] | None = None,
) -> ProcessResult:
    """Run `python arguments…` in the folder `scratch` and return its result.

    `tick` is called several times a second and may raise to stop. environment: variables to set for the child. The
    child imports this package, and no module from the user's folder; its stdout is discarded. Raises `TimeoutError` if
    it takes longer than `timeout` seconds. The child has always ended when this function returns or raises.
    """
    log = scratch / "stderr.txt"
    with log.open("wb") as stderr:
        child = subprocess.Popen(
            [sys.executable, "-P", *(os.fspath(argument) for argument in arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            cwd=scratch,
            env=child_environment() | dict(environment or {}),
            process_group=0,  # Ctrl-C reaches only the parent, which stops at the next `tick`
        )
        deadline = time.monotonic() + timeout
        try:
            while not _ended_within(child, _POLL):
                tick()
                if time.monotonic() > deadline:
                    raise TimeoutError(f"not finished within {timeout:.0f} seconds")
        finally:
            if child.poll() is None:
                child.kill()
                child.wait()
    return ProcessResult(child.returncode, log.read_text(encoding="utf-8", errors="replace"))


def _ended_within(child: subprocess.Popen[bytes], seconds: float) -> bool:
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True
