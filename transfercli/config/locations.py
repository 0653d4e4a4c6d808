"""Positions of keys and values in config files, and problems found there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass, field
from typing import Any

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Mark:
    """Position in a file or `--set` option; line and column count from 1, and line 0 means no line."""

    source: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.source}:{self.line}" if self.line else self.source


@dataclass(frozen=True, slots=True)
class Place:
    """Positions of a key and of its value.

    An item of a list and the whole document have no key; `key` is then the position of the value.
    """

    key: Mark
    value: Mark


@dataclass(frozen=True, slots=True)
class Problem:
    """Error in a config; `path` is the key that it concerns."""

    mark: Mark
    message: str
    path: KeyPath = ()

    def __str__(self) -> str:
        key = dotted(self.path)
        text = f"{self.mark}: {key}: {self.message}" if key else f"{self.mark}: {self.message}"
        return text.replace("\n", "\\n")  # one line, also if a key or a --set option holds a line break


@dataclass(slots=True)
class Document:
    """Parsed YAML: plain Python values, the position of every key path, and the problems found while reading."""

    value: Any
    places: dict[KeyPath, Place]
    problems: list[Problem] = field(default_factory=list)
    whole: bool = True  # False if a file that it extends could not be read

    def as_json(self) -> dict[str, Any]:
        """Return the values and positions of a document without problems, for another process (`from_json`)."""
        places = [[path, astuple(place)] for path, place in self.places.items()]
        return {"value": self.value, "places": places}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Document:
        """Return the document that `as_json` wrote."""
        places = {tuple(path): Place(*(Mark(*mark) for mark in marks)) for path, marks in content["places"]}
        return cls(content["value"], places)


class UnreadableError(Exception):
    """Raised if a file or text cannot be read as YAML, so that no further check is possible."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


def dotted(path: KeyPath) -> str:
    """Return `transfer.phases[0].epochs` for `("transfer", "phases", 0, "epochs")`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
