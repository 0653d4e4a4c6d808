"""Files of a run that the site serves: its report and two pictures, each by a name of its own, never by a path."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.responses import FileResponse
from starlette.routing import Route

from transfercli.evaluation.report.html import load_script
from transfercli.runs.folder import RUN_ID, RunFolder
from transfercli.workflows.ui.site import Site

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

PICTURES = {"history": "Curves of the training", "batch": "Images of a batch as the model saw them"}
MOST_BYTES = 512 * 2**20  # of a report


@cache
def page_policy() -> str:
    """Return the policy of a page that a run holds, which may come from a stranger.

    It runs the script of this program's reports and no other, and has an origin of its own (sandbox): it can neither
    read nor send anything.
    """
    _, digest = load_script("report.js")
    return (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src '{digest}'; form-action 'none'; "
        "base-uri 'none'; frame-ancestors 'none'; sandbox allow-scripts allow-top-navigation-by-user-activation"
    )


def pictures_of(run: RunFolder) -> dict[str, str]:
    """Return the pictures that a run has, by name, with what they show."""
    return {name: words for name, words in PICTURES.items() if is_regular(_picture(run, name))}


def _picture(run: RunFolder, name: str) -> Path:
    return {"history": run.history, "batch": run.batch}[name]


def is_regular(path: Path) -> bool:
    """Return True for a file that is no link."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def routes(site: Site) -> Sequence[Route]:
    """Return the routes of the files of runs."""

    def report(request: Request) -> Response:
        run, name = site.folder_of(request), request.path_params["evaluation"]
        path = run.evaluation(name) / "report.html"
        if not RUN_ID.fullmatch(name) or set(name) == {"."} or not is_regular(path):
            raise HTTPException(404)
        if path.stat().st_size > MOST_BYTES:
            raise HTTPException(413, "This report is too large for a browser.")
        return FileResponse(path, media_type="text/html", headers={"Content-Security-Policy": page_policy()})

    def picture(request: Request) -> Response:
        run, name = site.folder_of(request), request.path_params["picture"]
        if name not in pictures_of(run):
            raise HTTPException(404)
        return FileResponse(_picture(run, name), media_type="image/png")

    return [
        Route("/runs/{experiment}/{run_id}/evaluation/{evaluation}/report", report),
        Route("/runs/{experiment}/{run_id}/pictures/{picture}", picture),
    ]
