"""Connections of clients that are slow, silent, too many or that do not keep to HTTP.

uvicorn bounds neither the headers of a request nor the time that it takes to arrive. Here each connection counts what
arrives, one sweep a second over all of them finds the late ones, and past a number of connections the one that has been
idle for longest gives way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from enum import Enum, auto
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from transfercli.web.limits import Limits

if TYPE_CHECKING:
    from uvicorn.config import Config
    from uvicorn.server import ServerState

ENDED = "ended"  # key of the state of a request: the status with which the connection ended it


class Phase(Enum):
    """Phase of a connection: nothing of a request has come, or its headers, its body, its answer are under way."""

    IDLE = auto()
    HEADERS = auto()
    BODY = auto()
    ANSWER = auto()
    DRAIN = auto()  # it is answered, and the rest of its body is thrown away


class _Refused(Exception):
    """Raised in the parser if a request is not to be answered by the application."""

    def __init__(self, status: int) -> None:
        self.status = status


class Registry:
    """Open connections of a server, those that wait for a client in the order of their waiting."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.open: set[Connection] = set()
        self.waiting: dict[Connection, None] = {}

    def make_room(self) -> bool:
        """Close the connection that has waited for longest if there are too many; return False if none waits."""
        if len(self.open) < self.limits.connections:
            return True
        for connection in self.waiting:
            connection.abort()
            return True
        return False

    def sweep(self, now: float) -> None:
        """End what is late. now: time of the event loop."""
        for connection in list(self.open):
            connection.check(now)


class Connection(HttpToolsProtocol):
    """Connection of one client."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        registry: Registry,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.registry, self.limits = registry, registry.limits
        self.phase, self.since = Phase.IDLE, self.loop.time()
        self.count = self.header_count = self.host_count = 0  # bytes and headers of the request that arrives
        self.refused = False  # nothing more is read of this client
        self.has_body = False  # some of the body has come
        self.unread: tuple[float, int] | None = None  # since when a client reads an answer, and its bytes then

    # -- events of the transport

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        has_room = self.registry.make_room()
        self.registry.open.add(self)
        self.registry.waiting[self] = None
        if not has_room:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE)

    def connection_lost(self, exc: Exception | None) -> None:
        self.registry.open.discard(self)
        self.registry.waiting.pop(self, None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.refused or self.transport.is_closing():
            return
        if self.phase is not Phase.IDLE:
            self.count += len(data)
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
            if self.phase is Phase.HEADERS and self.count > self.limits.header_bytes:
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        except httptools.HttpParserUpgrade:
            self._end_after_answers()  # the client may go on without its upgrade, on another connection
        except httptools.HttpParserError as error:
            cause = error.__context__
            self._refuse(cause.status if isinstance(cause, _Refused) else HTTPStatus.BAD_REQUEST)

    # -- events of the parser

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._enter(Phase.HEADERS)
        self.count = self.header_count = self.host_count = 0
        self.has_body = False

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        if len(self.url) > self.limits.url_bytes:
            raise _Refused(HTTPStatus.REQUEST_URI_TOO_LONG)

    def on_header(self, name: bytes, value: bytes) -> None:
        self.header_count += 1
        self.count += len(name) + len(value) if self.phase is not Phase.HEADERS else 0
        if self.header_count > self.limits.headers or len(name) + len(value) > self.limits.header_bytes:
            raise _Refused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        if self.phase is not Phase.HEADERS:
            return  # a trailer, which nobody checks
        super().on_header(name, value)
        name = self.headers[-1][0]
        if name == b"host":
            self.host_count += 1
        elif name == b"transfer-encoding" and value.strip().lower() != b"chunked":
            raise _Refused(HTTPStatus.NOT_IMPLEMENTED)

    def on_headers_complete(self) -> None:
        if self.host_count > 1 or (self.host_count == 0 and self.parser.get_http_version() == "1.1"):
            raise _Refused(HTTPStatus.BAD_REQUEST)
        self._enter(Phase.BODY)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self.has_body = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        done = self.phase is Phase.DRAIN
        super().on_message_complete()
        self._enter(Phase.IDLE if done else Phase.ANSWER)

    def on_response_complete(self) -> None:
        others = bool(self.pipeline)
        super().on_response_complete()
        if self.transport is None or self.transport.is_closing() or others:
            return
        if self.phase is Phase.ANSWER:
            self._enter(Phase.IDLE)
        elif self.phase is Phase.BODY:
            if self.expect_100_continue and not self.has_body:
                self.transport.close()  # the client may send none, and its next request would be taken for it
            else:
                self._enter(Phase.DRAIN)
        if self.refused:
            self.transport.close()

    # -- limits

    def check(self, now: float) -> None:
        """End the connection if its client is late."""
        limits, late = self.limits, now - self.since
        if self.phase not in (Phase.HEADERS, Phase.BODY) and self._is_read(now):
            return
        if self.phase is Phase.IDLE:
            first = self.cycle is None
            if late > (limits.seconds_to_headers if first else limits.seconds_idle):
                self.abort()
        elif self.phase is Phase.HEADERS:
            if late > limits.seconds_to_headers:
                self._refuse(HTTPStatus.REQUEST_TIMEOUT)
        elif self.phase is Phase.BODY:
            if late > limits.seconds_to_body + self.count / limits.bytes_a_second:
                self._refuse(HTTPStatus.REQUEST_TIMEOUT)
        elif self.phase is Phase.DRAIN and late > limits.seconds_to_drain:
            self.abort()

    def _is_read(self, now: float) -> bool:
        """Return True if an answer is being read; end the connection if its client reads too slowly or not at all."""
        left = self.transport.get_write_buffer_size()
        if not left:
            self.unread = None
            return False
        if self.unread is None or left > self.unread[1]:
            self.unread = now, left
        since, most = self.unread
        if now - since > self.limits.seconds_idle + (most - left) / self.limits.bytes_a_second:
            self.abort()
        elif self.phase is Phase.IDLE:
            self.since = now
        return True

    def abort(self) -> None:
        """Close the connection now; the system throws away what was not yet sent."""
        self.registry.waiting.pop(self, None)
        self.registry.open.discard(self)
        with suppress(RuntimeError):  # it is closed
            self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        self._refuse(HTTPStatus.BAD_REQUEST)

    def _enter(self, phase: Phase) -> None:
        self.phase, self.since = phase, self.loop.time()
        if phase is Phase.IDLE:
            self.registry.waiting[self] = None
        elif phase is Phase.BODY:
            self.registry.waiting.pop(self, None)

    def _refuse(self, status: int) -> None:
        """Answer the request that arrives with an error and close, after the answers to those before it.

        If an answer is under way, an error between its parts would be taken for it: then the connection closes without.
        """
        self.refused = True
        cycle, phase = self.cycle, self.phase
        waits = cycle is not None and not cycle.response_complete
        if waits and phase in (Phase.HEADERS, Phase.ANSWER, Phase.IDLE):
            self._end_after_answers()
            return
        if waits and (self.pipeline or cycle.response_started):
            self.abort()
            return
        if waits:
            cycle.scope["state"][ENDED] = int(status)
        self.registry.waiting.pop(self, None)
        self.transport.write(_plain_answer(HTTPStatus(status)))
        self.transport.close()

    def _end_after_answers(self) -> None:
        """Close when the requests that have arrived are answered, and read no more."""
        self.refused = True
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.response_complete:
            self.transport.close()
        else:
            cycle.keep_alive = False


def _plain_answer(status: HTTPStatus) -> bytes:
    retry = "retry-after: 1\r\n" if status is HTTPStatus.SERVICE_UNAVAILABLE else ""
    text = f'{{"error": "{status.phrase}"}}'
    return (
        f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(text)}\r\n{retry}connection: close\r\n\r\n{text}"
    ).encode()


def protocol_of(registry: Registry) -> Callable[..., Connection]:
    """Return the factory that uvicorn makes connections with."""

    def make(**parts: Any) -> Connection:
        return Connection(**parts, registry=registry)

    return make
