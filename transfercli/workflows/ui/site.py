"""Site of `ui`: what all its pages share, and how one is made from its template."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from starlette.responses import HTMLResponse
from starlette.routing import Route

from transfercli.errors import ArtefactError
from transfercli.evaluation.report.html import jinja_environment
from transfercli.evaluation.report.plots import clipped
from transfercli.redaction import hide_paths
from transfercli.reporting import Reporter
from transfercli.runs.folder import RunFolder
from transfercli.runs.lookup import find_run, is_label
from transfercli.workflows.stored_run import StoredRun
from transfercli.workflows.ui.jobs import Jobs
from transfercli.workflows.ui.run_index import RunIndex
from transfercli.workflows.ui.workers import Workers

if TYPE_CHECKING:
    from starlette.requests import Request

HERE = Path(__file__).parent
TEMPLATES, STATIC = HERE / "templates", HERE / "static"
STYLES = ("report.css", "site.css")


@dataclass(frozen=True)
class Site:
    """Site over the runs of a folder.

    runs: folder of all experiments. allow_changes: True if pages may write corrections of labels. secret: sent back by
    pages that change something, so that no foreign page can. reviewer: name beside decisions on labels, if a page gives
    none.
    """

    runs: Path
    allow_changes: bool = False
    reporter: Reporter = field(default_factory=Reporter)
    secret: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    reviewer: str = ""

    @cached_property
    def environment(self) -> Any:
        """Templates of this site beside those of the reports, whose style and macros they use."""
        environment = jinja_environment(TEMPLATES)
        environment.globals |= {"static": static_address, "site": self, "run_address": run_address, "quote": quoted}
        environment.globals |= {"experiment_address": experiment_address, "address_with": address_with}
        environment.filters["line"] = lambda text, length=1000: clipped(self.hidden(str(text)), length)
        return environment

    @cached_property
    def style(self) -> str:
        """The style sheet of all pages: that of the reports, then that of the site."""
        return "".join(self.environment.get_template(name).render() for name in STYLES)

    @property
    def style_address(self) -> str:
        """The address of the style sheet; it changes with the content, so that a browser may keep the file."""
        return f"/style.css?v={sha256(self.style.encode()).hexdigest()[:12]}"

    @cached_property
    def index(self) -> RunIndex:
        """The rows of all runs, kept in memory while their files stay as they are."""
        return RunIndex(self.runs)

    @cached_property
    def jobs(self) -> Jobs:
        """Work that takes longer than a request, done one after another on a thread of its own."""
        return Jobs(self.reporter)

    @cached_property
    def workers(self) -> Workers:
        """Processes that decode images, and networks, for all sections."""
        return Workers()

    def page(self, request: Request, template: str, status: int = 200, **facts: Any) -> HTMLResponse:
        """Return the page of a template; facts: its variables, beside `site` and `request`."""
        text = self.environment.get_template(template).render(request=request, **facts)
        return HTMLResponse(text.encode("utf-8", "replace"), status)  # a file name may not be UTF-8

    def folder_of(self, request: Request) -> RunFolder:
        """Return the run that the parameters `experiment` and `run_id` of the request's path name.

        Raises `ArtefactError`, which is answered with 404, if there is none, or if its folder is not safe.
        """
        return self.run_folder(f"{request.path_params['experiment']}/{request.path_params['run_id']}")

    def run_folder(self, label: str) -> RunFolder:
        """Return the run EXPERIMENT/RUN_ID, as `folder_of`. A label can never lead out of the folder of runs."""
        if not is_label(label):
            raise ArtefactError(f"{clipped(label, 140)!r} is no name of a run", "it has the form EXPERIMENT/RUN_ID")
        return find_run(str(self.runs / label), self.runs)

    def run_of(self, request: Request) -> StoredRun:
        """Return the run of a request's path with a handle on its files, as `folder_of`."""
        return StoredRun(self.folder_of(request), self.reporter)

    def hidden(self, text: str) -> str:
        """Return a text for a page: without the folder of runs, and other paths of the machine shortened."""
        for folder in {str(self.runs.resolve()), str(self.runs.absolute())} - {"/"}:
            text = text.replace(folder, "runs")
        return hide_paths(text)


@cache
def static_address(name: str) -> str:
    """Return the address of a file in `static`; it changes with the content, so that a browser may keep the file."""
    return f"/static/{name}?v={sha256((STATIC / name).read_bytes()).hexdigest()[:12]}"


def run_address(label: str) -> str | None:
    """Return the address of the page of a run; None if its name has characters that no command takes."""
    return f"/runs/{label}" if is_label(label) else None


def experiment_address(name: str) -> str | None:
    """Return the address of the page of an experiment; None if its name has characters that no command takes."""
    return f"/experiments/{name}" if is_label(f"{name}/x") else None


def quoted(text: object) -> str:
    """Return a text as a part of an address."""
    return quote(str(text).encode("utf-8", "replace"), safe="")


def address_with(request: Request, **changes: object) -> str:
    """Return the address of a request with other values of its query; None removes one, as `page` always is."""
    kept = [(name, value) for name, value in request.query_params.multi_items() if name not in {"page", *changes}]
    query = [*kept, *((name, str(value)) for name, value in changes.items() if value is not None)]
    text = urlencode([(name, value.encode("utf-8", "replace")) for name, value in query])
    return request.url.path + (f"?{text}" if text else "")


@dataclass(frozen=True, slots=True)
class Section:
    """Section of the site: its name in the navigation ("" for none), its address, and its routes.

    The address stands in the navigation of each page.
    """

    name: str
    address: str
    routes: Callable[[Site], Sequence[Route]]
