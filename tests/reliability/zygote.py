"""A process that has imported everything and forks a copy of itself for each trial: no trial waits for TensorFlow.

It never computes, so its copies start with fresh runtimes, as the program does. `Zygote` talks to it from a test.
Lines of JSON go in, one a trial, and one answer a trial comes out.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

IMPORTED = (
    *("keras", "tensorflow", "matplotlib.figure", "transfercli.cli.app", "transfercli.workflows.train.train"),
    *("transfercli.training.trainer", "transfercli.transfer.phase_builder", "transfercli.transfer.dry_run"),
    *(
        "transfercli.evaluation.report.plots",
        "transfercli.evaluation.report.batch_picture",
        "scipy.optimize",
        "sklearn.linear_model",
    ),
)
PATIENCE = 120.0  # seconds a trial may take


class Zygote:
    """Trials of `transfercli ARGUMENT…` in `folder`; use as a context."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __enter__(self) -> Zygote:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.reliability.zygote"],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        return self

    def __exit__(self, *error: object) -> None:
        self._process.communicate()

    def run(self, *arguments: str, **more: Any) -> dict[str, Any]:
        """One trial: `rc` (negative: what signal killed it), `seconds`, `stopping` (since the last signal), `stderr`.

        signals: (seconds after the start, number) of each to send. fault: (act, at, folder) of a disk that fails.
        """
        trial = {"arguments": arguments, "folder": str(self.folder), **more}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(trial) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


def serve() -> None:
    """Answer trials until the input ends."""
    import importlib

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for name in IMPORTED:
        importlib.import_module(name)
    for line in sys.stdin:
        print(json.dumps(_trial(**json.loads(line))), file=answers, flush=True)


def _trial(
    arguments: list[str], folder: str, signals: Sequence[tuple[float, int]] = (), fault: Any = None
) -> dict[str, Any]:
    told, started = Path(folder) / f".stderr.{os.getpid()}", time.monotonic()
    pid = os.fork()
    if pid == 0:
        _play(arguments, folder, told, fault)
    waiting, sent = list(signals), None
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        now = time.monotonic() - started
        if done:
            break
        if waiting and now >= waiting[0][0]:
            os.kill(pid, waiting.pop(0)[1])
            sent = now
        if now > PATIENCE:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.002)
    return {
        "rc": os.waitstatus_to_exitcode(status),
        "seconds": now,
        "stopping": None if sent is None else now - sent,
        "stderr": told.read_text(errors="replace") if told.exists() else "",
    }


def _play(arguments: list[str], folder: str, told: Path, fault: Any) -> None:
    """In the copy: be the program, and end."""
    from tests.reliability.faults import ACTS, Disk
    from transfercli.cli.app import main

    code = 70
    try:
        told.unlink(missing_ok=True)
        os.chdir(folder)
        for number, flags in ((0, os.O_RDONLY), (1, os.O_WRONLY)):
            os.dup2(os.open(os.devnull, flags), number)
        os.dup2(os.open(told, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 2)
        sys.argv = ["transfercli", *arguments]
        act, at, place = fault or ("kill", 0, folder)
        with Disk(os.path.realpath(place), at, ACTS[act]).mounted() as disk:
            try:
                main()
            except SystemExit as ended:
                code = int(ended.code or 0)
            finally:
                Path(folder, ".seen.json").write_text(json.dumps(disk.seen))
        sys.stderr.flush()
    finally:
        os._exit(code)


if __name__ == "__main__":
    serve()
