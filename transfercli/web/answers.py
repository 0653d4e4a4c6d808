"""Errors as HTTP answers: the JSON of the command line, with a status code for each kind."""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse

from transfercli.errors import (
    ArtefactError,
    BusyError,
    ConfigError,
    DataError,
    OutOfSpaceError,
    TransferError,
    UsageError,
)
from transfercli.io.versioned import versioned
from transfercli.redaction import hide_paths

# The status code of each kind; the first class that an error is an instance of counts.
STATUS: tuple[tuple[type[TransferError], int], ...] = (
    (UsageError, 400),
    (ConfigError, 400),
    (DataError, 422),
    (ArtefactError, 404),
    (BusyError, 409),
    (OutOfSpaceError, 507),
)


def error_content(status: int, kind: str, message: str, hint: str | None = None) -> dict[str, Any]:
    """Return an error in the JSON of the command line; `code` is the HTTP status. Paths of the machine are hidden."""
    hidden = None if hint is None else hide_paths(hint)
    return versioned({"error": {"code": status, "kind": kind, "message": hide_paths(message), "hint": hidden}})


def error_answer(status: int, kind: str, message: str, hint: str | None = None) -> JSONResponse:
    """Return `error_content` as an answer."""
    return JSONResponse(error_content(status, kind, message, hint), status)


def status_of(error: TransferError) -> int:
    """Return the status code of an expected failure."""
    return next((code for kind, code in STATUS if isinstance(error, kind)), 500)


def answer_for(error: TransferError) -> JSONResponse:
    """Return the answer to a request that an expected failure ended."""
    return error_answer(status_of(error), error.kind, error.message, error.hint)
