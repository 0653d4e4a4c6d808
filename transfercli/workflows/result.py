"""Results of commands: their common protocol, and the version of their JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

FORMAT = 1  # of the JSON objects that commands print; 2 as soon as a key is removed or changes its meaning


class Result(Protocol):
    """The result of a command: typed attributes for Python and the printed tables, plain values for JSON."""

    def as_json(self) -> dict[str, Any]:
        """Return the JSON object that docs/reference describes, without `format`."""
        ...


class ExternalFormat:
    """Base class of results whose JSON follows a standard of its own and cannot have `"format": 1`."""


def document(result: Result) -> dict[str, Any]:
    """Return the JSON object of a result as it is printed."""
    return result.as_json() if isinstance(result, ExternalFormat) else versioned(result.as_json())


def versioned(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return a JSON object as it is printed: `"format": 1` first."""
    return {"format": FORMAT, **content}
