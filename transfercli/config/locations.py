"""Where things stand in a config, and what is wrong there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Mark:
    """A file (or the `--set` that said so) with a line and column, both counted from 1; line 0 is "no line"."""

    source: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.source}:{self.line}" if self.line else self.source


@dataclass(frozen=True, slots=True)
class Place:
    """Where a key and its value stand; items of a list and the whole document have no key of their own."""

    key: Mark
    value: Mark


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a config; `path` is the key it concerns."""

    mark: Mark
    message: str
    path: KeyPath = ()

    def __str__(self) -> str:
        where = dotted(self.path)
        text = f"{self.mark}: {where}: {self.message}" if where else f"{self.mark}: {self.message}"
        return text.replace("\n", "\\n")  # a problem is one line, whatever a key or a --set holds


@dataclass(slots=True)
class Document:
    """What was read: plain Python values, the place of every key path, and what was wrong on the way."""

    value: Any
    places: dict[KeyPath, Place]
    problems: list[Problem] = field(default_factory=list)
    whole: bool = True  # False where a file that it extends could not be read


class UnreadableError(Exception):
    """The text is not YAML of the kind that is read here; nothing more can be said about it."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


def dotted(path: KeyPath) -> str:
    """`("transfer", "phases", 0, "epochs")` -> `transfer.phases[0].epochs`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
