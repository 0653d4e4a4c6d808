"""Leaderboard: all experiments of the folder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from starlette.routing import Route

from transfercli.workflows.ui.site import Section, Site

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response


def routes(site: Site) -> Sequence[Route]:
    """Return the routes of the page."""

    def show(request: Request) -> Response:
        names = sorted(path.name for path in site.runs.iterdir() if path.is_dir() and not path.name.startswith("."))
        return site.page(request, "leaderboard.html.j2", experiments=names)

    return [Route("/", show)]


SECTION = Section("Runs", "/", routes)
