"""A process on each host that has imported everything and forks a copy of itself for each training.

No training waits for Keras; as nothing was computed before the fork, JAX starts afresh in the copies.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.reliability.hosts import Host, Started

IMPORTED = (
    *("keras", "jax", "tensorflow", "matplotlib.figure", "transfercli.cli.app", "transfercli.workflows.train.train"),
    *("transfercli.training.trainer", "transfercli.transfer.phase_builder", "transfercli.evaluation.report.plots"),
    *("transfercli.evaluation.report.batch_picture", "scipy.optimize", "sklearn.linear_model"),
)
REPOSITORY = Path(__file__).parents[2]


class Zygote:
    """The process of a host. environment: of the process, and of all trainings."""

    def __init__(self, host: Host, environment: Mapping[str, str]) -> None:
        self.host = host
        self._process = subprocess.Popen(
            host.inside([sys.executable, "-m", "tests.reliability.host_zygotes"], REPOSITORY),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=dict(environment),
            bufsize=0,
        )

    def start(self, arguments: Sequence[str], environment: Mapping[str, str], folder: Path) -> Started:
        """Start `transfercli ARGUMENT…` in `folder`, with more variables; one at a time."""
        stdout, stderr = self.host.output()
        trial = {
            "arguments": list(arguments),
            "environment": dict(environment),
            "folder": str(folder),
            "output": [str(stdout), str(stderr)],
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(trial).encode() + b"\n")
        pid = int(self._process.stdout.readline())
        self.host.started.append(Started(Forked(pid, self._process), stdout, stderr))
        return self.host.started[-1]

    def close(self) -> None:
        """Kill what was started on the host, and end the process."""
        self.host.close()
        self._process.communicate()


class Forked:
    """A copy of a zygote."""

    def __init__(self, pid: int, zygote: subprocess.Popen[bytes]) -> None:
        self.pid, self._zygote = pid, zygote
        self._code: int | None = None

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code, negative for a signal. Raises `subprocess.TimeoutExpired`."""
        assert self._zygote.stdout is not None
        if self._code is None:
            if not select.select([self._zygote.stdout], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("transfercli", timeout or 0.0)
            self._code = int(self._zygote.stdout.readline())
        return self._code


def serve() -> None:
    """Fork a copy for every line of the input; print its process id, and its exit code when it has ended."""
    import importlib

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for name in IMPORTED:
        importlib.import_module(name)
    _keep_compiled()
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            answers.close()
            _play(**json.loads(line))
        print(pid, file=answers, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), file=answers, flush=True)


def _keep_compiled() -> None:
    """Let every process keep what it has compiled; by itself JAX does so in the first of several only."""
    from jax._src import compiler, distributed

    write = compiler._cache_write

    def write_as_first(*arguments: Any) -> None:
        state, rank = distributed.global_state, distributed.global_state.process_id
        state.process_id = 0
        try:
            write(*arguments)
        finally:
            state.process_id = rank

    compiler._cache_write = write_as_first


def _play(arguments: list[str], environment: dict[str, str], folder: str, output: list[str]) -> Any:
    """In the copy: be the program, and end as it does."""
    from transfercli.cli.app import main

    os.environ.update(environment)
    os.chdir(folder)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, path in enumerate(output, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
    sys.argv = ["transfercli", *arguments]
    main()
    sys.exit(0)


if __name__ == "__main__":
    serve()
