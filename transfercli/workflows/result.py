"""Results of commands: their common protocol."""

from __future__ import annotations

from typing import Any, Protocol

from transfercli.io.versioned import versioned


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
