"""Application of `serve`: the protocols in one table, the guards before them, a line of the log behind each request.

It is plain ASGI without a framework: a small network answers thousands of requests a second, and with its guards,
limits and metrics a request costs little more than in the smallest application of one (benchmarks/serve_layer.py).
"""

from __future__ import annotations

import itertools
import math
import re
import secrets
from collections.abc import Mapping
from http import HTTPStatus
from time import perf_counter
from typing import TYPE_CHECKING, Any

from transfercli.errors import TransferError
from transfercli.web.answers import status_of
from transfercli.web.connections import ENDED
from transfercli.web.guards import HostGuard, TokenGuard
from transfercli.web.messages import Answer, Disconnected, Refusal, Request
from transfercli.web.routes import Place, Routes
from transfercli.workflows.serve.access_log import AccessLog
from transfercli.workflows.serve.errors import ServeError
from transfercli.workflows.serve.hosting import ServedModel
from transfercli.workflows.serve.metrics import Metrics
from transfercli.workflows.serve.protocols.health import HEALTH, LIVE, READINESS
from transfercli.workflows.serve.protocols.open_inference import OPEN_INFERENCE
from transfercli.workflows.serve.protocols.plain import PLAIN
from transfercli.workflows.serve.protocols.protocol import WireProtocol
from transfercli.workflows.serve.protocols.tensorflow_serving import TENSORFLOW_SERVING
from transfercli.workflows.serve.service import Service, Settings

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

# The first protocol whose prefix a path has says how an error reads.
PROTOCOLS: tuple[WireProtocol, ...] = (TENSORFLOW_SERVING, OPEN_INFERENCE, HEALTH, PLAIN)
FREE = (LIVE, READINESS)  # without a token
CLIENT_GONE = 499  # in the log: nginx's code for a client that did not wait
REQUEST_ID = b"x-request-id"
SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


def build_app(models: Mapping[str, ServedModel], settings: Settings, metrics: Metrics | None = None) -> ServeApp:
    """Return the application that serves models. metrics: those that the models report to."""
    return ServeApp(Service(models, settings, metrics or Metrics()))


class ServeApp:
    """Application of a server."""

    def __init__(self, service: Service) -> None:
        self._service, settings = service, service.settings
        self._protocol_of: dict[str, WireProtocol] = {}
        routes = []
        for protocol in PROTOCOLS:
            for route in protocol.routes(service):
                self._protocol_of[route.template] = protocol
                routes.append(route)
        self._routes = Routes(routes)
        self._guards: list[HostGuard | TokenGuard] = []
        if settings.address.is_loopback and settings.address.unix is None:
            self._guards.append(HostGuard(self))
        if settings.token is not None:
            self._guards.append(TokenGuard(self, settings.token, FREE))
        self._log = AccessLog(settings.log, settings.warn) if settings.log is not None else None
        self._ids, self._prefix = itertools.count(1), secrets.token_hex(4)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._serve(Request(scope, receive), send)
        elif scope["type"] == "lifespan":
            await self._live(receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self.close()
        await send({"type": "lifespan.shutdown.complete"})

    def close(self) -> None:
        """Write the rest of the log."""
        self._service.close()
        if self._log is not None:
            self._log.close()

    async def _serve(self, request: Request, send: Send) -> None:
        started = perf_counter()
        given = request.header(REQUEST_ID)
        name = given if SANE_ID.fullmatch(given) else f"{self._prefix}-{next(self._ids):x}"
        found = self._routes.find(request.scope["path"])
        place = found[0] if found else None
        protocol = self._protocol_of[place.template] if place else _protocol_of_path(request.scope["path"])
        status, sent = CLIENT_GONE, 0
        try:
            if found:
                request.names = found[1]
            answer = await self._answer(request, place, protocol)
            answer.headers = (*answer.headers, (REQUEST_ID, name.encode("ascii")))
            status, sent = answer.status, len(answer.body)
            await answer.send(send)
        except Disconnected:
            status = request.scope.get("state", {}).get(ENDED, CLIENT_GONE)
        finally:
            self._service.budget.release(request)
            seconds = perf_counter() - started
            self._count(request, place, protocol.name, (name, status, sent, seconds))

    async def _answer(self, request: Request, place: Place | None, protocol: WireProtocol) -> Answer:
        try:
            for guard in self._guards:
                if refusal := guard.refusal(request.scope):
                    raise refusal
            if place is None:
                raise Refusal(404, "path", "there is nothing at this path", "GET / lists the models")
            if request.method == "OPTIONS":
                return Answer(HTTPStatus.NO_CONTENT, headers=((b"allow", place.allowed.encode("ascii")),))
            return await place.handler(request.method)(request)
        except Refusal as refusal:
            return protocol.error(refusal)
        except TransferError as error:
            return protocol.error(_refusal_of(error))
        except Disconnected:
            raise
        except (
            Exception
        ) as error:  # a bug must not end the connection without an answer, nor show the client its insides
            self._service.settings.report_bug(error)
            return protocol.error(Refusal(500, "bug", "the server failed; its log says how"))

    def _count(
        self, request: Request, place: Place | None, protocol: str, outcome: tuple[str, int, int, float]
    ) -> None:
        name, status, sent, seconds = outcome
        facts = request.facts
        received = facts.get("received", 0)
        self._service.metrics.request(facts.get("model", ""), protocol, status, seconds, received)
        if self._log is None:
            return
        line: dict[str, Any] = {
            "method": request.method,
            "path": place.template if place else None,
            "status": int(status),
            "seconds": round(seconds, 6),
            "received": received,
            "sent": sent,
            "id": name,
        }
        for key in ("model", "version", "images"):
            if key in facts:
                line[key] = facts[key]
        self._log.add(line)


def _protocol_of_path(path: str) -> WireProtocol:
    return next(protocol for protocol in PROTOCOLS if path.startswith(protocol.prefix)) if path[:1] == "/" else PLAIN


def _refusal_of(error: TransferError) -> Refusal:
    """Return an expected failure as a refusal."""
    if not isinstance(error, ServeError):
        return Refusal(status_of(error), error.kind, error.message, error.hint)
    wait = error.retry_after
    if wait is None and error.status == HTTPStatus.SERVICE_UNAVAILABLE:
        wait = 1
    headers = {} if wait is None else {"Retry-After": str(max(1, math.ceil(wait)))}
    return Refusal(error.status, error.kind, error.message, error.hint, headers)
