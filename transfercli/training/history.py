"""`metrics.jsonl`: one line an epoch, durable as epochs end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from transfercli.errors import ArtefactError
from transfercli.io import atomic
from transfercli.io.bounded import RESTORE_HINT

Line = dict[str, Any]


def append(path: Path, line: Line) -> None:
    atomic.append_line(path, json.dumps(line))


def read(path: Path) -> list[Line]:
    """The whole lines of the file; a last line that was cut short by a kill is left out.

    Raises `ArtefactError` where it is there and cannot be read, or a line is no epoch's.
    """
    if not path.exists():
        return []
    try:
        texts = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise ArtefactError(f"{path.name} in {path.parent.name} cannot be read: {error}", RESTORE_HINT) from error
    lines = []
    for text in texts:
        try:
            line = json.loads(text)
        except (ValueError, RecursionError):
            break
        if not isinstance(line, dict) or not isinstance(line.get("epoch"), int):
            raise ArtefactError(
                f"{path.name} in {path.parent.name} has a line of no epoch: {text[:80]!r}", RESTORE_HINT
            )
        lines.append(line)
    return lines


def rewind(path: Path, last: Line | None) -> None:
    """Make the history end with `last`, the line of the checkpoint a run goes on from; None: with nothing.

    Lines before it stay as they are; a line of an epoch whose checkpoint was lost goes, and one that a kill kept
    from being written is added.
    """
    lines = [line for line in read(path) if line["epoch"] < last["epoch"]] + [last] if last else []
    text = "".join(json.dumps(line) + "\n" for line in lines)
    if (path.read_text(encoding="utf-8") if path.exists() else "") != text:
        atomic.write_text(path, text)
