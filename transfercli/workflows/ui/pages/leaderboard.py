"""Leaderboard: the runs of all experiments, filtered and sorted by the address of the page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.datastructures import QueryParams
from starlette.routing import Route

from transfercli.errors import TransferError
from transfercli.workflows.runs.leaderboard import ListRequest, RunList, list_runs
from transfercli.workflows.runs.run_fields import STATES
from transfercli.workflows.ui.pages.choices import LIVE_SECONDS
from transfercli.workflows.ui.pages.run_table import PER_PAGE, Column, TableRow, columns_of, offered, rows_of
from transfercli.workflows.ui.run_index import IndexedRun, Listing
from transfercli.workflows.ui.site import Section, Site

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

MOST_FILTERS = 8


@dataclass(frozen=True)
class Asked:
    """Conditions, order, columns and page that the address of a leaderboard asks for."""

    experiment: str = ""
    status: str = ""
    filters: tuple[str, ...] = ()
    sort: str = ""
    reverse: bool = False
    columns: tuple[str, ...] = ()
    page: int = 1

    @classmethod
    def of(cls, query: QueryParams, experiment: str = "") -> Asked:
        """Return what an address asks for; what it says wrongly counts as not said. experiment: of the page itself."""
        given = {name: [text.strip() for text in query.getlist(name) if text.strip()] for name in query}
        page = query.get("page", "1")
        return cls(
            experiment or query.get("experiment", ""),
            query.get("status", "") if query.get("status") in STATES else "",
            tuple(given.get("filter", [])[:MOST_FILTERS]),
            query.get("sort", "").strip(),
            query.get("reverse") == "1",
            tuple(given.get("column", [])),
            int(page) if page.isascii() and page.isdecimal() and 0 < len(page) < 7 else 1,
        )

    @property
    def request(self) -> tuple[str, ...]:
        """Conditions that all shown runs meet."""
        return (*([f"status={self.status}"] if self.status else []), *self.filters)


@dataclass(frozen=True)
class Board:
    """A leaderboard as its page shows it. problem: of a filter, order or column that means nothing."""

    asked: Asked
    columns: Sequence[Column]
    rows: Sequence[TableRow]
    total: int
    hidden: int
    offered: dict[str, list[str]]
    best_by: str
    problem: TransferError | None = None

    @property
    def pages(self) -> int:
        return max(1, -(-self.total // PER_PAGE))

    @property
    def is_live(self) -> bool:
        return any(row.run.row.status == "running" for row in self.rows)


def board_of(site: Site, listing: Listing, asked: Asked) -> Board:
    """Return the leaderboard that an address asks for; with a problem, that of all runs."""
    runs = [run for run in listing.runs if asked.experiment in ("", run.folder.path.parent.name)]
    try:
        return _board(site, runs, asked)
    except TransferError as problem:
        plain = Asked(experiment=asked.experiment)
        board = _board(site, runs, plain)
        return Board(asked, board.columns, board.rows, board.total, 0, board.offered, board.best_by, problem)


def _board(site: Site, runs: Sequence[IndexedRun], asked: Asked) -> Board:
    order = asked.sort or "created"
    found: RunList = list_runs(ListRequest(site.runs, None, order, asked.reverse, asked.request), runs)
    by_path = {run.row.run: run for run in runs}
    kept = [by_path[row.run] for row in found.runs]
    pages = max(1, -(-len(kept) // PER_PAGE))
    page = min(asked.page, pages)
    shown = kept[(page - 1) * PER_PAGE : page * PER_PAGE]
    columns = columns_of(asked.columns, runs, shown)
    best = None if found.best is None else kept[found.best]
    rows = rows_of(shown, columns, best)
    return Board(asked, columns, rows, len(kept), found.hidden, offered(runs, shown), found.best_by)


@dataclass(frozen=True, slots=True)
class ExperimentSummary:
    """An experiment in the list of all. champion: id of its champion, "" without one."""

    name: str
    runs: int
    running: int
    champion: str
    newest: str


def summaries(listing: Listing) -> list[ExperimentSummary]:
    """Return all experiments, that with the newest run first."""
    found = []
    for name, runs in listing.by_experiment.items():
        states = Counter(run.row.status for run in runs)
        champion = next((run.row.run_id for run in runs if "champion" in run.row.links), "")
        newest = max(str(run.row.created or "") for run in runs)
        found.append(ExperimentSummary(name, len(runs), states["running"], champion, newest))
    return sorted(found, key=lambda each: each.newest, reverse=True)


def routes(site: Site) -> Sequence[Route]:
    """Return the routes of the page."""

    def show(request: Request) -> Response:
        listing = site.index.listing()
        board = board_of(site, listing, Asked.of(request.query_params))
        facts: dict[str, Any] = {"board": board, "experiments": summaries(listing), "problems": listing.problems}
        status = 400 if board.problem else 200
        return site.page(request, "leaderboard.html.j2", status, states=STATES, live=LIVE_SECONDS, **facts)

    return [Route("/", show)]


SECTION = Section("Runs", "/", routes)
