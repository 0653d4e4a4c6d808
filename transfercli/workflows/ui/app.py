"""Application of `ui`: the sections in one table, the guards before them, the headers behind them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from transfercli.errors import TransferError
from transfercli.web.answers import STATUS
from transfercli.web.guards import HostGuard, SameOriginGuard
from transfercli.workflows.ui.pages import leaderboard
from transfercli.workflows.ui.site import STATIC, Section, Site

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request
    from starlette.responses import Response

SECTIONS: tuple[Section, ...] = (leaderboard.SECTION,)  # in the order of the navigation
HEADERS = {
    # Everything comes from this server; pictures may stand in the page, or be made by a script of it.
    "Content-Security-Policy": "default-src 'none'; img-src 'self' data: blob:; media-src 'self' blob:; "
    "style-src 'self' 'unsafe-inline'; script-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def build_app(site: Site) -> Starlette:
    """Return the application of a site."""
    site.environment.globals["sections"] = [section for section in SECTIONS if section.name]
    routes = [route for section in SECTIONS for route in section.routes(site)]

    async def failed(request: Request, error: Exception) -> Response:
        assert isinstance(error, TransferError)
        status = next((code for kind, code in STATUS if isinstance(error, kind)), 500)
        return site.page(request, "error.html.j2", status, message=error.message, hint=error.hint)

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return site.page(request, "error.html.j2", error.status_code, message=error.detail, hint=None)

    return Starlette(
        routes=[*routes, Mount("/static", StaticFiles(directory=STATIC))],
        middleware=[
            Middleware(HostGuard),
            Middleware(SameOriginGuard, secret=site.secret),
            Middleware(BaseHTTPMiddleware, dispatch=_with_headers),
        ],
        exception_handlers={TransferError: failed, HTTPException: refused},
    )


async def _with_headers(request: Request, call: Callable[[Request], Awaitable[Response]]) -> Response:
    response = await call(request)
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    if request.url.path.startswith("/static/"):
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
    return response
