"""Protocol of a server: its paths, and how it says that something went wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from transfercli.redaction import hide_paths
from transfercli.web.messages import Answer, Header, Refusal, json_answer
from transfercli.web.routes import Route
from transfercli.workflows.serve.service import Service


@dataclass(frozen=True, slots=True)
class WireProtocol:
    """Row of the table of protocols.

    name: in the log and the metrics. prefix: of its paths, whose errors read as its own even if there is no such path.
    """

    name: str
    prefix: str
    routes: Callable[[Service], Iterable[Route]]
    error: Callable[[Refusal], Answer]


def short_error(refusal: Refusal) -> Answer:
    """Return an error as TensorFlow Serving and the Open Inference Protocol have it: `{"error": "…"}`."""
    text = refusal.message if refusal.hint is None else f"{refusal.message}; {refusal.hint}"
    return json_answer({"error": hide_paths(text)}, refusal.status, headers_of(refusal))


def headers_of(refusal: Refusal) -> tuple[Header, ...]:
    """Return the headers that a refusal adds to its answer."""
    return tuple((name.lower().encode("ascii"), value.encode("ascii")) for name, value in refusal.headers.items())
