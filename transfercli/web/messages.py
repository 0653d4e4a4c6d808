"""Requests and answers of a server that counts microseconds: plain ASGI, parsed as far as someone asks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

JSON = "application/json"
MOST_PARAMETERS = 20  # of a query
Header = tuple[bytes, bytes]
_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False)  # one: making it takes longer than a short answer


class Refusal(Exception):
    """Raised if a request is not carried out; the protocol that was asked in says how that reads.

    status: of HTTP. kind: one word for programs. hint: the fix, or None. headers: added to the answer.
    """

    def __init__(
        self, status: int, kind: str, message: str, hint: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.kind, self.message, self.hint = status, kind, message, hint
        self.headers = dict(headers or {})


class Disconnected(Exception):
    """Raised if the client is gone before its request was read."""


@dataclass(slots=True)
class Answer:
    """Answer to a request, whole in memory."""

    status: int = 200
    body: bytes = b""
    media: str = JSON
    headers: Sequence[Header] = ()

    async def send(self, send: Send) -> None:
        """Send the answer."""
        headers = [(b"content-length", b"%d" % len(self.body)), *self.headers]
        if self.body:
            headers.append((b"content-type", self.media.encode("ascii")))
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


def json_answer(content: Any, status: int = 200, headers: Sequence[Header] = ()) -> Answer:
    """Return JSON as an answer. Raises `ValueError` if it has numbers that JSON cannot hold."""
    return Answer(status, json_bytes(content), JSON, headers)


def json_bytes(content: Any) -> bytes:
    """Return JSON as bytes of ASCII. Raises `ValueError` if it has numbers that JSON cannot hold."""
    return _ENCODER.encode(content).encode("ascii")


@dataclass(slots=True)
class Request:
    """Request of a client.

    names: of the route's parts in braces. facts: what the log and the metrics say about it beside the answer.
    """

    scope: Scope
    receive: Receive
    names: Mapping[str, str] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    held: int = 0  # bytes of the body in memory

    @property
    def method(self) -> str:
        method: str = self.scope["method"]
        return method

    def header(self, name: bytes) -> str:
        """Return a header, or "". name: in lower case."""
        return header_of(self.scope, name)

    def query(self) -> dict[str, str]:
        """Return the parameters of the query. Raises `Refusal` if they are too many or repeated."""
        text = self.scope["query_string"]
        if not text:
            return {}
        try:
            pairs = parse_qsl(text.decode("ascii"), keep_blank_values=True, max_num_fields=MOST_PARAMETERS)
        except ValueError as error:
            raise Refusal(400, "query", "the query cannot be read") from error
        found = dict(pairs)
        if len(found) < len(pairs):
            raise Refusal(400, "query", "a parameter of the query is repeated")
        return found


def header_of(scope: Scope, name: bytes) -> str:
    """Return a header of a request, or "". name: in lower case."""
    for key, value in scope["headers"]:
        if key == name:
            text: str = value.decode("latin-1")
            return text.strip()
    return ""
