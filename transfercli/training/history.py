"""Training history: `metrics.jsonl`, one line per epoch, on disk when the epoch ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from transfercli.errors import ArtefactError
from transfercli.io import atomic
from transfercli.io.bounded import RESTORE_HINT

Line = dict[str, Any]


def append(path: Path, line: Line) -> None:
    """Append an epoch's line."""
    atomic.append_line(path, json.dumps(line))


def read(path: Path) -> list[Line]:
    """Return the lines of the file, without a last line that a kill left incomplete; [] if there is no file.

    Raises `ArtefactError` if the file cannot be read, or a line is not an epoch's.
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
                f"{path.name} in {path.parent.name} has a line that is not an epoch: {text[:80]!r}", RESTORE_HINT
            )
        lines.append(line)
    return lines


def rewind(path: Path, last: Line | None) -> None:
    """Make the history end with `last`, the line of the checkpoint from which a run continues; None empties it.

    Earlier lines stay. Later lines, of epochs whose checkpoints were lost, are removed; `last` is added if the program
    was killed before it was written.
    """
    lines = [line for line in read(path) if line["epoch"] < last["epoch"]] + [last] if last else []
    text = "".join(json.dumps(line) + "\n" for line in lines)
    if (path.read_text(encoding="utf-8") if path.exists() else "") != text:
        atomic.write_text(path, text)
