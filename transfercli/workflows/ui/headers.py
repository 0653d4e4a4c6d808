"""Headers of all answers of the site: a browser may load nothing from elsewhere, and run no script of a page itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.datastructures import MutableHeaders

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Scripts and style sheets are files of this server; pictures may stand in the page, or be made by a script of it.
# `style` attributes are allowed, since the bars of the reports have them: no text of a run is ever in one.
POLICY = (
    "default-src 'none'; img-src 'self' data: blob:; media-src 'self' blob:; style-src 'self' 'unsafe-inline'; "
    "style-src-elem 'self'; script-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
FOR_EVER = "public, max-age=31536000, immutable"


class SecurityHeaders:
    """Middleware that adds `HEADERS` to each answer that does not have them itself.

    A file whose address changes with its content (`?v=`) may be kept for ever.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if message["status"] == 200 and _is_kept(scope):
                    headers["Cache-Control"] = FOR_EVER
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, send_with_headers if scope["type"] == "http" else send)


def _is_kept(scope: Scope) -> bool:
    path = scope["path"]
    return (path.startswith("/static/") or path == "/style.css") and scope["query_string"].startswith(b"v=")
