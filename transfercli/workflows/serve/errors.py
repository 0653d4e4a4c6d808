"""Failures of a model that is served, each with the status that HTTP has for it."""

from __future__ import annotations

from transfercli.errors import TransferError


class ServeError(TransferError):
    """Base of the failures of an answer. status: of HTTP. retry_after: seconds after which it may succeed, or None."""

    kind = "serve"
    status = 500

    def __init__(self, message: str, hint: str | None = None, retry_after: float | None = None) -> None:
        super().__init__(message, hint)
        self.retry_after = retry_after


class Overloaded(ServeError):
    """Raised if the queue of a model is full."""

    kind, status = "overloaded", 503


class NotReady(ServeError):
    """Raised if a model is still loaded, or could not be."""

    kind, status = "loading", 503


class TimedOut(ServeError):
    """Raised if an answer was not computed in time."""

    kind, status = "timeout", 504


class ComputationFailed(ServeError):
    """Raised if a model failed on the batch of a request."""

    kind = "model"
