"""Child processes that work on an artefact: their progress, and their failures in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from transfercli.errors import ArtefactError, OutOfSpaceError
from transfercli.io.subprocesses import run_python
from transfercli.reporting import Reporter


@dataclass(frozen=True, slots=True)
class Task:
    """Work of a child process, in words.

    verb: for the progress, such as `verify`. work: what needs memory and disk space. late, failed: what is wrong after
    the time limit and after an error. hint: how to mend an error.
    """

    verb: str
    work: str
    late: str
    failed: str
    hint: str


def run_child(
    task: Task,
    name: str,
    arguments: Sequence[str | Path],
    scratch: Path,
    reporter: Reporter,
    *,
    timeout: float,
    environment: Mapping[str, str] | None = None,
) -> None:
    """Run `python arguments…` in the folder `scratch` for the artefact of format `name`.

    Raises `ArtefactError`, with the last line of its output, if it fails or takes longer than `timeout` seconds, and
    `OutOfSpaceError` if it has too little memory or disk space.
    """
    step = f"{task.verb} {name}"
    tick = partial(reporter.progress, step, 0, 1, "artefacts")
    try:
        ended = run_python(arguments, scratch, timeout=timeout, tick=tick, environment=environment)
    except TimeoutError:
        raise ArtefactError(
            f"{name}: {task.late} within {timeout:.0f} seconds",
            "check the load of the machine and run the same command again",
        ) from None
    reporter.progress(step, 1, 1, "artefacts")
    if ended.ran_out_of_space:
        raise OutOfSpaceError(
            f"{name}: there was not enough memory or disk space to {task.work}",
            "free some and run the same command again; the run itself is not affected",
        )
    if ended.returncode:
        last = ended.last_line or f"no message, exit status {ended.returncode}"
        raise ArtefactError(f"{name}: {task.failed}: {last}", f"{task.hint}; the run itself is not affected")
