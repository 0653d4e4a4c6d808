"""Notification of a decision: a program of the user, and a Markdown summary for a CI job."""

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

from transfercli.export.card.markdown import code, escaped
from transfercli.reporting import Reporter
from transfercli.text import decimal
from transfercli.workflows.command_lines import command_line
from transfercli.workflows.result import document
from transfercli.workflows.retrain.results import RetrainResult

HOOK_SECONDS = 60.0
STDERR_SECONDS = 1.0  # to read stderr to its end after the hook; a child process may hold it open
STDERR_BYTES = 200  # last bytes of stderr that a warning shows


def run_hook(command: list[str], result: RetrainResult, reporter: Reporter, *, allowed: bool) -> None:
    """Start a program, without a shell, with the decision as JSON on its stdin; a failure is only a warning."""
    if not command:
        return
    if not allowed:
        reporter.warning("retrain.on_decision is set but was not run: pass --allow-hooks to allow it")
        return
    name = Path(command[0]).name
    try:
        code, message = _run(command, json.dumps(document(result)))
    except subprocess.TimeoutExpired:
        reporter.warning(f"on_decision: {name} took more than {HOOK_SECONDS:.0f} s and was stopped")
    except (OSError, ValueError) as error:
        reporter.warning(f"on_decision: {name} cannot be run: {error}")
    else:
        if code:
            reporter.warning(f"on_decision: {name} ended with exit code {code}: {message or 'no message'}")


def _run(command: list[str], text: str) -> tuple[int, str]:
    """Run a program with `text` on its stdin; return its exit code and the end of its stderr.

    Time and memory are bounded, whatever the program writes. Its stdin is a file, since a pipe blocks the writer if the
    program does not read it. On a timeout the program's process group is killed, and `TimeoutExpired` raised; child
    processes that outlive a program that ended in time keep running.
    """
    with tempfile.TemporaryFile() as stdin:
        stdin.write(text.encode())
        stdin.seek(0)
        process = subprocess.Popen(
            command, stdin=stdin, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
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
    reader.join(STDERR_SECONDS)
    return code, tail.decode("utf-8", "replace").strip()


def _keep_end(stream: IO[bytes], tail: bytearray) -> None:
    """Read a stream to its end; keep its last bytes in `tail`."""
    with stream:
        while chunk := os.read(stream.fileno(), 65536):
            tail[:] = (tail + chunk)[-STDERR_BYTES:]


def write_summary(path: Path | None, name: str, result: RetrainResult, reporter: Reporter) -> None:
    """Append the decision as Markdown to `path`, such as a CI job's summary; a failed write is only a warning."""
    if path is None:
        return
    try:
        with path.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write("\n".join(summary_lines(name, result)) + "\n\n")
    except (OSError, ValueError) as error:
        reporter.warning(f"the summary cannot be written: {error}")


def summary_lines(name: str, result: RetrainResult) -> Iterator[str]:
    """Yield lines of Markdown: a heading, the reason, the runs, tables of comparison and gates, changes and alerts."""
    yield f"## {escaped(name)}: {result.decision}"
    yield ""
    yield escaped(result.reason)
    models = list(_model_lines(result))
    if models:
        yield ""
        yield from (f"- {line}" for line in models)
    comparison = result.comparison
    if comparison:
        yield ""
        yield f"| {escaped(comparison['metric'])} | {result.compared_champion} | challenger | gain | interval |"
        yield "| --- | ---: | ---: | ---: | --- |"
        yield (
            f"| {comparison['images']} test images | {decimal(comparison['champion'])}"
            f" | {decimal(comparison['challenger'])} | {decimal(comparison['gain'], '+')}"
            f" | {' to '.join(decimal(end, '+') for end in comparison['interval'] or ())} |"
        )
    for line in _honesty_lines(result):
        yield ""
        yield line
    if result.gates:
        yield ""
        yield "| gate | required | value | |"
        yield "| --- | --- | ---: | --- |"
        for gate in result.gates:
            value = decimal(gate["value"])
            passed = "passed" if gate["passed"] else "**not met**"
            yield f"| {escaped(gate['metric'])} | {gate['op']} {gate['bound']:g} | {value} | {passed} |"
    changes = "; ".join(result.change_texts())
    if changes:
        yield ""
        yield f"Images: {escaped(changes)}"
    for alert in result.alerts:
        yield ""
        yield f"**Alert {alert['kind']}**, since {alert['since'][:10]}: {escaped(alert['message'])}"


def _model_lines(result: RetrainResult) -> Iterator[str]:
    """Yield the runs, the figure of each with its interval, and for a rejected challenger the next command."""
    for role, run in result.runs:
        yield f"{role} {code(f'{run.parent.name}/{run.name}')}"
    if result.figure_text:
        yield escaped(result.figure_text)
    if result.decision == "rejected" and result.champion and result.challenger:
        yield f"next: {code(command_line('runs', 'compare', str(result.champion), str(result.challenger)))}"


def _honesty_lines(result: RetrainResult) -> Iterator[str]:
    """Yield the champion's number on the audit images, and what is left of the error rate of all nights."""
    audit, lifetime = result.audit or {}, result.comparison.get("lifetime")
    if audit.get("champion") is not None:
        interval = " to ".join(decimal(end) for end in audit["interval"] or ())
        yield (
            f"Audit: {escaped(audit['metric'])} of the champion {decimal(audit['champion'])}"
            + (f" ({interval})" if interval else "")
            + f" on {audit['images']} test images that never decide, {decimal(audit['deciding'])} on those that do"
        )
    if lifetime:
        from transfercli.evaluation.statistics.alpha_spending import comparisons_text

        share = lifetime["left"] / (lifetime["left"] + lifetime["spent"])
        yield (
            f"All nights: these test images have decided {comparisons_text(lifetime['asked'])}; p-value"
            f" {lifetime['p_value']:.2g}, a promotion needs at most {lifetime['alpha']:.2g} tonight; {share:.0%} of the"
            " error rate of all nights is left"
        )
