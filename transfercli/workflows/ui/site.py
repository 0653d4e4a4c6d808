"""Site of `ui`: what all its pages share, and how one is made from its template."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.responses import HTMLResponse
from starlette.routing import Route

from transfercli.evaluation.report.html import jinja_environment
from transfercli.reporting import Reporter

if TYPE_CHECKING:
    from starlette.requests import Request

HERE = Path(__file__).parent
TEMPLATES, STATIC = HERE / "templates", HERE / "static"


@dataclass(frozen=True)
class Site:
    """Site over the runs of a folder.

    runs: folder of all experiments. allow_changes: True if pages may write corrections of labels. secret: sent back by
    pages that change something, so that no foreign page can.
    """

    runs: Path
    allow_changes: bool = False
    reporter: Reporter = field(default_factory=Reporter)
    secret: str = field(default_factory=lambda: secrets.token_urlsafe(32))

    @cached_property
    def environment(self) -> Any:
        """Templates of this site beside those of the reports, whose style and macros they use."""
        environment = jinja_environment(TEMPLATES)
        environment.globals |= {"static": static_address, "site": self}
        return environment

    def page(self, request: Request, template: str, status: int = 200, **facts: Any) -> HTMLResponse:
        """Return the page of a template; facts: its variables, beside `site` and `request`."""
        text = self.environment.get_template(template).render(request=request, **facts)
        return HTMLResponse(text, status)


def static_address(name: str) -> str:
    """Return the address of a file in `static`; it changes with the content, so that a browser may keep the file."""
    return f"/static/{name}?v={sha256((STATIC / name).read_bytes()).hexdigest()[:12]}"


@dataclass(frozen=True, slots=True)
class Section:
    """Section of the site: its name in the navigation ("" for none), its address, and its routes.

    The address stands in the navigation of each page.
    """

    name: str
    address: str
    routes: Callable[[Site], Sequence[Route]]
