"""Who else hears of a decision: a program of the user's, and a file for a CI job's summary."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from transfercli.export.card.markdown import escaped
from transfercli.reporting import Reporter
from transfercli.workflows.result import document
from transfercli.workflows.retrain.results import RetrainResult

HOOK_SECONDS = 60.0
LAST_WORDS_SECONDS = 1.0  # for stderr to end after the hook, which a child of its own may hold open
TOLD = 200  # bytes of what a hook wrote that are worth a line


def run_hook(command: list[str], result: RetrainResult, reporter: Reporter, *, allowed: bool) -> None:
    """Start a program with the decision as JSON on its stdin, no shell between; whatever becomes of it does no harm."""
    if not command:
        return
    if not allowed:
        reporter.warning("retrain.on_decision is set but was not run: pass --allow-hooks to allow it")
        return
    name = Path(command[0]).name
    try:
        code, said = _ended(command, json.dumps(document(result)))
    except subprocess.TimeoutExpired:
        reporter.warning(f"on_decision: {name} took more than {HOOK_SECONDS:.0f} s and was stopped")
    except (OSError, ValueError) as error:
        reporter.warning(f"on_decision: {name} cannot be run: {error}")
    else:
        if code:
            reporter.warning(f"on_decision: {name} ended with {code}: {said or 'no message'}")


def _ended(command: list[str], told: str) -> tuple[int, str]:
    """A program's exit code and the end of what it wrote to stderr, in bounded time and memory, whatever it writes.

    A file is its stdin, as nobody may read it. It leads a group, which is ended with it where its time is over; what
    it leaves behind on purpose goes on.
    """
    with tempfile.TemporaryFile() as asked:
        asked.write(told.encode())
        asked.seek(0)
        process = subprocess.Popen(
            command, stdin=asked, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
        )
    assert process.stderr is not None
    tail = bytearray()
    reader = threading.Thread(target=_keep_end, args=(process.stderr, tail), daemon=True, name="hook")
    reader.start()
    try:
        code = process.wait(HOOK_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    reader.join(LAST_WORDS_SECONDS)
    return code, tail.decode("utf-8", "replace").strip()


def _keep_end(stream: IO[bytes], tail: bytearray) -> None:
    with stream:
        while chunk := os.read(stream.fileno(), 65536):
            tail[:] = (tail + chunk)[-TOLD:]


def write_summary(path: Path | None, name: str, result: RetrainResult, reporter: Reporter) -> None:
    """Append Markdown to `path`, as a CI job's summary wants it; a place that cannot be written is a warning."""
    if path is None:
        return
    try:
        with path.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write("\n".join(summary_lines(name, result)) + "\n\n")
    except (OSError, ValueError) as error:
        reporter.warning(f"the summary cannot be written: {error}")


def summary_lines(name: str, result: RetrainResult) -> Iterator[str]:
    """A heading, the reason, and a table of what was compared and which gates were held."""
    yield f"## {escaped(name)}: {result.decision}"
    yield ""
    yield escaped(result.reason)
    comparison = result.comparison
    if comparison:
        yield ""
        yield f"| {escaped(comparison['metric'])} | champion | challenger | gain | interval |"
        yield "| --- | ---: | ---: | ---: | --- |"
        yield (
            f"| {comparison['images']} test images | {_number(comparison['champion'])}"
            f" | {_number(comparison['challenger'])} | {_number(comparison['gain'], '+')}"
            f" | {' to '.join(_number(end, '+') for end in comparison['interval'] or ())} |"
        )
    if result.gates:
        yield ""
        yield "| gate | wanted | value | |"
        yield "| --- | --- | ---: | --- |"
        for gate in result.gates:
            value = _number(gate["value"])
            passed = "passed" if gate["passed"] else "**not met**"
            yield f"| {escaped(gate['metric'])} | {gate['op']} {gate['bound']:g} | {value} | {passed} |"
    changes = dict(result.real_changes())
    if changes:
        yield ""
        yield "Images: " + "; ".join(
            f"{name} {escaped(', '.join(value) if isinstance(value, list) else str(value))}"
            for name, value in changes.items()
        )


def _number(value: float | None, sign: str = "") -> str:
    return "not defined" if value is None else f"{value:{sign}.4f}"
