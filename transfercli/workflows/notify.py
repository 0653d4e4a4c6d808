"""Who else hears of a decision: a program of the user's, and a file for a CI job's summary."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from transfercli.errors import TransferError
from transfercli.events import Events
from transfercli.runs import atomic

HOOK_SECONDS = 60.0
TOLD = 200  # characters of what a hook wrote that are worth a line


def run_hook(command: list[str], result: dict[str, Any], events: Events, *, allowed: bool) -> None:
    """Start a program with the decision as JSON on its stdin, no shell between; whatever becomes of it does no harm."""
    if not command:
        return
    if not allowed:
        events.warn("retrain.on_decision is set but was not run: pass --allow-hooks to allow it")
        return
    try:
        done = subprocess.run(
            command, input=json.dumps(result).encode(), capture_output=True, timeout=HOOK_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        events.warn(f"on_decision: {Path(command[0]).name} took more than {HOOK_SECONDS:.0f} s and was stopped")
    except (OSError, ValueError) as error:
        events.warn(f"on_decision: {Path(command[0]).name} cannot be run: {error}")
    else:
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace").strip()[-TOLD:]
            events.warn(f"on_decision: {Path(command[0]).name} ended with {done.returncode}: {said or 'no message'}")


def write_summary(path: Path | None, name: str, result: dict[str, Any], events: Events) -> None:
    """Append Markdown to `path`, as a CI job's summary wants it; a place that cannot be written is a warning."""
    if path is None:
        return
    try:
        before = path.read_text("utf-8") if path.exists() else ""
        atomic.write_text(path, before + "\n".join(summary_lines(name, result)) + "\n\n")
    except (TransferError, OSError, ValueError) as error:
        events.warn(f"the summary cannot be written: {error}")


def summary_lines(name: str, result: dict[str, Any]) -> Iterator[str]:
    """A heading, the reason, and a table of what was compared and which gates were held."""
    yield f"## {_escaped(name)}: {result['decision']}"
    yield ""
    yield _escaped(result["reason"])
    comparison = result["comparison"]
    if comparison:
        yield ""
        yield f"| {_escaped(comparison['metric'])} | champion | challenger | gain | interval |"
        yield "| --- | ---: | ---: | ---: | --- |"
        yield (
            f"| {comparison['images']} test images | {_number(comparison['champion'])}"
            f" | {_number(comparison['challenger'])} | {_number(comparison['gain'], '+')}"
            f" | {' to '.join(_number(end, '+') for end in comparison['interval'] or ())} |"
        )
    gates = result.get("gates", [])
    if gates:
        yield ""
        yield "| gate | wanted | value | |"
        yield "| --- | --- | ---: | --- |"
        for gate in gates:
            value = _number(gate["value"])
            passed = "passed" if gate["passed"] else "**not met**"
            yield f"| {_escaped(gate['metric'])} | {gate['op']} {gate['bound']:g} | {value} | {passed} |"
    changed = {key: value for key, value in result.get("changes", {}).items() if value}
    if changed:
        yield ""
        yield "Images: " + "; ".join(
            f"{key.replace('_', ' ')} {_escaped(', '.join(value) if isinstance(value, list) else str(value))}"
            for key, value in changed.items()
        )


def _number(value: float | None, sign: str = "") -> str:
    return "not defined" if value is None else f"{value:{sign}.4f}"


def _escaped(text: str) -> str:
    """A class name must not become a table, a link or a tag."""
    for mark in "\\`*_[]<>|":
        text = text.replace(mark, f"\\{mark}")
    return text.replace("\n", " ")
