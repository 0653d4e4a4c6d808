"""Token of a page: the address that is printed holds it once; after that a cookie of this browser stands for it."""

from __future__ import annotations

import hmac
import secrets
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode

from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, RedirectResponse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

PARAMETER = "token"
LOCKED = "This page asks for its token: open the address that the command printed when it was started.\n"


class PageTokenGuard:
    """Guard that asks a browser for a token, as `?token=…`, and a program for `Authorization: Bearer TOKEN`.

    The right token sets a cookie and leads to the same address without the token, which so stays out of the history
    and of what is copied from the address bar. A browser sends a cookie to every port of a host: its value is a secret
    of this process, not the token, and its name has the port.
    """

    def __init__(self, app: ASGIApp, token: str) -> None:
        self.app, self.token, self.session = app, token.encode(), secrets.token_urlsafe(32)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = HTTPConnection(scope)
        query = parse_qsl(request.url.query, keep_blank_values=True, max_num_fields=None)
        given = [value for name, value in query if name == PARAMETER]
        if given and scope["method"] == "GET" and self._is_token(given[-1]):
            rest = urlencode([(name, value) for name, value in query if name != PARAMETER])
            answer = RedirectResponse(_own_path(request.url.path) + (f"?{rest}" if rest else ""), 303)
            answer.set_cookie(_cookie_name(scope), self.session, httponly=True, samesite="strict", path="/")
            answer.headers["Cache-Control"] = "no-store"
            answer.headers["Referrer-Policy"] = "no-referrer"
            await answer(scope, receive, send)
        elif self._has_session(request, scope) or self._has_bearer(request):
            await self.app(scope, receive, send)
        else:
            await PlainTextResponse(LOCKED, 401, {"WWW-Authenticate": "Bearer"})(scope, receive, send)

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode("utf-8", "replace"), self.token)

    def _has_bearer(self, request: HTTPConnection) -> bool:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and self._is_token(given.strip())

    def _has_session(self, request: HTTPConnection, scope: Scope) -> bool:
        try:
            morsel = SimpleCookie(request.headers.get("cookie", "")).get(_cookie_name(scope))
        except CookieError:
            return False
        return morsel is not None and hmac.compare_digest(
            morsel.value.encode("utf-8", "replace"), self.session.encode()
        )


def _cookie_name(scope: Scope) -> str:
    server = scope.get("server")
    return f"transfercli-{server[1] if server and server[1] else 'unix'}"


def _own_path(path: str) -> str:
    """Return a path that a browser takes for one of this server: `//x` would be another one."""
    return "/" + path.lstrip("/\\")
