"""Application of `ui`: the sections in one table, the guards before them, the headers behind them."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from transfercli.errors import TransferError
from transfercli.web.answers import status_of
from transfercli.web.guards import LOOPBACK_NAMES, HostGuard, SameOriginGuard
from transfercli.web.page_token import PageTokenGuard
from transfercli.workflows.ui.headers import SecurityHeaders
from transfercli.workflows.ui.pages import compare, curves, experiment, leaderboard, run
from transfercli.workflows.ui.review import section as review
from transfercli.workflows.ui.site import STATIC, Section, Site
from transfercli.workflows.ui.tryout import pages as tryout
from transfercli.workflows.ui.wall import pages as wall

if TYPE_CHECKING:
    from starlette.requests import Request

SECTIONS: tuple[Section, ...] = (
    leaderboard.SECTION,
    curves.SECTION,
    compare.SECTION,
    wall.SECTION,
    tryout.SECTION,
    review.SECTION,
    experiment.SECTION,
    run.SECTION,
)  # in the order of the navigation


def build_app(site: Site, *, token: str | None = None, hosts: Collection[str] | None = LOOPBACK_NAMES) -> Starlette:
    """Return the application of a site.

    token: that a browser must show; None if it need not. hosts: names that a browser may call this machine by; None
    for any, which only a token makes safe.
    """
    site.environment.globals["sections"] = [section for section in SECTIONS if section.name]
    routes = [route for section in SECTIONS for route in section.routes(site)]

    def style(request: Request) -> Response:
        return Response(site.style, media_type="text/css")

    return Starlette(
        routes=[*routes, Route("/style.css", style), Mount("/static", StaticFiles(directory=STATIC))],
        middleware=[
            Middleware(SecurityHeaders),
            *([] if hosts is None else [Middleware(HostGuard, names=hosts)]),
            *([] if token is None else [Middleware(PageTokenGuard, token=token)]),
            Middleware(SameOriginGuard, secret=site.secret),
        ],
        exception_handlers=_handlers(site),  # type: ignore[arg-type]
    )


def _handlers(site: Site) -> dict[type[Exception], object]:
    """Return the answers to requests that an error ended, as pages."""

    def failed(request: Request, error: TransferError) -> Response:
        return site.page(request, "error.html.j2", status_of(error), message=error.message, hint=error.hint)

    def refused(request: Request, error: HTTPException) -> Response:
        return site.page(
            request, "error.html.j2", error.status_code, message=WORDS.get(error.status_code, error.detail), hint=None
        )

    def broke(request: Request, error: Exception) -> Response:
        return PlainTextResponse("This page could not be made: the command has written the reason to stderr.\n", 500)

    return {TransferError: failed, HTTPException: refused, Exception: broke}


WORDS = {404: "There is no such page.", 405: "This page cannot be asked for in this way."}
