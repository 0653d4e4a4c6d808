"""Guards before an application: names of hosts, tokens, requests that other pages of a browser make.

Each is plain ASGI middleware: it answers a request that it refuses, and passes on all others untouched.
"""

from __future__ import annotations

import hmac
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from transfercli.errors import UsageError
from transfercli.web.answers import error_answer
from transfercli.web.messages import Refusal, header_of

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
LEAST_TOKEN = 16  # characters


class Guard:
    """Guard before an application; `refusal` says why a request does not pass."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self.refusal(scope) if scope["type"] == "http" else None
        if refusal is None:
            await self.app(scope, receive, send)
            return
        answer = error_answer(refusal.status, refusal.kind, refusal.message, refusal.hint)
        answer.headers.update(refusal.headers)
        await answer(scope, receive, send)

    def refusal(self, scope: Scope) -> Refusal | None:
        """Return why a request is refused, or None."""
        raise NotImplementedError


class HostGuard(Guard):
    """Guard against DNS rebinding: a browser that asks for another name was led here by a foreign page.

    names: without ports.
    """

    def __init__(self, app: ASGIApp, names: Collection[str] = LOOPBACK_NAMES) -> None:
        super().__init__(app)
        self.names = frozenset(name.lower() for name in names)

    def refusal(self, scope: Scope) -> Refusal | None:
        if name_of_host(header_of(scope, b"host")) in self.names:
            return None
        return Refusal(421, "host", "this server does not answer to the name in the Host header")


class TokenGuard(Guard):
    """Guard that asks for a token, `Authorization: Bearer TOKEN`. free: paths that need none."""

    def __init__(self, app: ASGIApp, token: str, free: Collection[str] = ()) -> None:
        super().__init__(app)
        self.token, self.free = token.encode(), frozenset(free)

    def refusal(self, scope: Scope) -> Refusal | None:
        if scope["path"] in self.free or self._knows(scope):
            return None
        message = "this server asks for a token: Authorization: Bearer TOKEN"
        return Refusal(401, "token", message, headers={"WWW-Authenticate": "Bearer"})

    def _knows(self, scope: Scope) -> bool:
        scheme, _, given = header_of(scope, b"authorization").partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), self.token)


class SameOriginGuard(Guard):
    """Guard of requests that change something: only pages of this server may send them (cross-site request forgery).

    secret: of this process; the pages send it in the header `X-CSRF-Token`, which a foreign page cannot read.
    """

    def __init__(self, app: ASGIApp, secret: str) -> None:
        super().__init__(app)
        self.secret = secret.encode()

    def refusal(self, scope: Scope) -> Refusal | None:
        if scope["method"] in SAFE_METHODS or self._is_own(scope):
            return None
        return Refusal(403, "origin", "only the pages of this server may change something")

    def _is_own(self, scope: Scope) -> bool:
        origin, host = header_of(scope, b"origin"), header_of(scope, b"host")
        if origin and origin.partition("://")[2].lower() != host.lower():
            return False
        if (header_of(scope, b"sec-fetch-site") or "same-origin") not in ("same-origin", "none"):
            return False
        return hmac.compare_digest(header_of(scope, b"x-csrf-token").encode(), self.secret)


def name_of_host(host: str) -> str:
    """Return the name in a Host header, in lower case and without a port; "" without one."""
    host = host.lower()
    name, _, port = host.rpartition(":")
    return name if name and port.isdecimal() else host


def read_token(path: Path) -> str:
    """Return the token in a file. Raises `UsageError` if there is none, or if it is too short."""
    try:
        token = path.read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it holds other characters than those of ASCII"
        raise UsageError(f"--token-file {path} cannot be read: {reason}", "name a file that holds the token") from error
    if len(token) < LEAST_TOKEN or len(token.split()) != 1:
        raise UsageError(
            f"--token-file {path} must hold one word of {LEAST_TOKEN} characters or more",
            "openssl rand -hex 32 makes one",
        )
    return token
