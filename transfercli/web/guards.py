"""Guards before an application: names of hosts, tokens, requests that other pages of a browser make.

Each is plain ASGI middleware: it answers a request that it refuses, and passes on all others untouched.
"""

from __future__ import annotations

import hmac
from collections.abc import Collection
from http.cookies import SimpleCookie
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.requests import HTTPConnection

from transfercli.errors import UsageError
from transfercli.web.answers import error_answer

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
LEAST_TOKEN = 16  # characters


class HostGuard:
    """Guard against DNS rebinding: a browser that asks for another name was led here by a foreign page.

    names: without ports.
    """

    def __init__(self, app: ASGIApp, names: Collection[str] = LOOPBACK_NAMES) -> None:
        self.app, self.names = app, frozenset(name.lower() for name in names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and _name_of_host(HTTPConnection(scope)) not in self.names:
            answer = error_answer(421, "host", "this server does not answer to the name in the Host header")
            await answer(scope, receive, send)
            return
        await self.app(scope, receive, send)


class TokenGuard:
    """Guard that asks for a token: `Authorization: Bearer TOKEN`, or the cookie of a page.

    free: paths that need none. cookie: name of a cookie that may hold the token; "" for none.
    """

    def __init__(self, app: ASGIApp, token: str, free: Collection[str] = (), cookie: str = "") -> None:
        self.app, self.token, self.free, self.cookie = app, token.encode(), frozenset(free), cookie

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in self.free or self._knows(HTTPConnection(scope)):
            await self.app(scope, receive, send)
            return
        answer = error_answer(401, "token", "this server asks for a token: Authorization: Bearer TOKEN")
        answer.headers["WWW-Authenticate"] = "Bearer"
        await answer(scope, receive, send)

    def _knows(self, request: HTTPConnection) -> bool:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            morsel = SimpleCookie(request.headers.get("cookie", "")).get(self.cookie) if self.cookie else None
            given = morsel.value if morsel else ""
        return hmac.compare_digest(given.strip().encode(), self.token)


class SameOriginGuard:
    """Guard of requests that change something: only pages of this server may send them (cross-site request forgery).

    secret: of this process; the pages send it in the header `X-CSRF-Token`, which a foreign page cannot read.
    """

    def __init__(self, app: ASGIApp, secret: str) -> None:
        self.app, self.secret = app, secret.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in SAFE_METHODS or self._is_own(HTTPConnection(scope)):
            await self.app(scope, receive, send)
            return
        await error_answer(403, "origin", "only the pages of this server may change something")(scope, receive, send)

    def _is_own(self, request: HTTPConnection) -> bool:
        origin, host = request.headers.get("origin"), request.headers.get("host", "")
        if origin is not None and origin.partition("://")[2].lower() != host.lower():
            return False
        if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return False
        return hmac.compare_digest(request.headers.get("x-csrf-token", "").encode(), self.secret)


def _name_of_host(request: HTTPConnection) -> str:
    """Return the name in the Host header, in lower case and without a port; "" without one."""
    host = request.headers.get("host", "").strip().lower()
    name, _, port = host.rpartition(":")
    return name if name and port.isdecimal() else host


def read_token(path: Path) -> str:
    """Return the token in a file. Raises `UsageError` if there is none, or if it is too short."""
    try:
        token = path.read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        raise UsageError(f"--token-file {path} cannot be read: {error}", "name a file that holds the token") from error
    if len(token) < LEAST_TOKEN or len(token.split()) != 1:
        raise UsageError(
            f"--token-file {path} must hold one word of {LEAST_TOKEN} characters or more",
            "openssl rand -hex 32 makes one",
        )
    return token
