"""Results of commands: what every one of them can do, and the version of their JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

FORMAT = 1  # of the JSON objects that commands print: a key that goes, or changes its meaning, makes it 2


class Result(Protocol):
    """The result of a command: typed for programs and for the tables that a person sees, plain values for JSON."""

    def as_json(self) -> dict[str, Any]:
        """Return the JSON object of docs/reference and the contract, without `format`."""
        ...


class Foreign:
    """Base of results whose JSON is in a format of its own, in which `"format": 1` has no place."""


def document(result: Result) -> dict[str, Any]:
    """Return the JSON object of a result as it leaves the program."""
    return result.as_json() if isinstance(result, Foreign) else versioned(result.as_json())


def versioned(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return a JSON object as it leaves the program: `"format": 1` first."""
    return {"format": FORMAT, **content}
