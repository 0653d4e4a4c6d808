"""Curves of chosen runs, one over the other: as charts that a script draws while the runs train, and as tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from starlette.datastructures import QueryParams
from starlette.responses import JSONResponse
from starlette.routing import Route

from transfercli.io.versioned import versioned
from transfercli.workflows.ui.pages.choices import LIVE_SECONDS, OFFERED, named_runs
from transfercli.workflows.ui.pages.run_history import Histories, History
from transfercli.workflows.ui.run_index import IndexedRun
from transfercli.workflows.ui.site import Section, Site

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

MOST_RUNS = 24
SHOWN_AT_ONCE = 12  # rows of runs to choose from
EPOCH_ROWS = 500  # of a table, the last ones
VALIDATION = "val_"


@dataclass(frozen=True, slots=True)
class Chosen:
    """A run whose curves are shown."""

    run: IndexedRun
    history: History

    @property
    def label(self) -> str:
        return self.run.label


@dataclass(frozen=True, slots=True)
class CurveTable:
    """Table of one curve. rows: the epoch, and a text a run."""

    name: str
    rows: Sequence[tuple[int, Sequence[str]]]
    left_out: int


def chosen_runs(site: Site, histories: Histories, query: QueryParams) -> tuple[list[Chosen], list[str]]:
    """Return the runs that an address names, and the names of those that do not exist."""
    names = named_runs(query, MOST_RUNS)
    known = site.index.listing().by_label
    found = [known[name] for name in names if name in known]
    return [Chosen(run, histories.read(run.folder.metrics)) for run in found], [n for n in names if n not in known]


def keys_of(chosen: Sequence[Chosen]) -> list[str]:
    """Return the curves that the runs have, without the prefix of validation images; losses and metrics first."""
    names = dict.fromkeys(name for each in chosen for name in each.history.series)
    keys = dict.fromkeys(name.removeprefix(VALIDATION) for name in names)
    return sorted(keys, key=lambda key: f"{VALIDATION}{key}" not in names)


def default_keys(keys: Sequence[str]) -> list[str]:
    """Return the curves that are shown unasked."""
    main = [key for key in ("map", "mae", "accuracy") if key in keys]
    return [key for key in ("loss", *main[:1]) if key in keys]


def table_of(key: str, chosen: Sequence[Chosen]) -> CurveTable:
    """Return the values of a curve on validation images, or on training images if there are no others."""
    columns = [dict(zip(each.history.epochs, _series(each.history, key), strict=True)) for each in chosen]
    epochs = sorted({epoch for column in columns for epoch in column})
    shown = epochs[-EPOCH_ROWS:]
    rows = [(epoch, [_text(column.get(epoch)) for column in columns]) for epoch in shown]
    return CurveTable(key, rows, len(epochs) - len(shown))


def _series(history: History, key: str) -> Sequence[float | None]:
    nothing = (None,) * len(history.epochs)
    return history.series.get(f"{VALIDATION}{key}", history.series.get(key, nothing))


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:.5g}"


def lines_json(chosen: Sequence[Chosen], known: Sequence[str]) -> dict[str, Any]:
    """Return the curves of runs. known: stamps that the page has already; of those runs only the state is new."""
    runs = []
    for each in chosen:
        row = {"run": each.label, "status": each.run.row.status, "stamp": each.history.stamp}
        same = bool(each.history.stamp) and each.history.stamp in known
        runs.append(row | ({"same": True} if same else each.history.as_json()))
    return {"runs": runs}


def routes(site: Site) -> Sequence[Route]:
    """Return the routes of the page and of its numbers."""
    find = partial(chosen_runs, site, Histories())

    def show(request: Request) -> Response:
        chosen, missing = find(request.query_params)
        keys = keys_of(chosen)
        asked = [key for key in dict.fromkeys(request.query_params.getlist("key")) if key in keys]
        shown = asked or default_keys(keys)
        newest = site.index.listing().newest
        labels = {each.label for each in chosen}
        return site.page(
            request,
            "curves.html.j2",
            chosen=chosen,
            missing=missing,
            keys=keys,
            shown=shown,
            asked=asked,
            tables=[table_of(key, chosen) for key in shown],
            others=[run for run in newest if run.label not in labels][:SHOWN_AT_ONCE],
            offered=newest[:OFFERED],
            most=MOST_RUNS,
            live=LIVE_SECONDS if any(each.run.row.status == "running" for each in chosen) else 0,
        )

    def lines(request: Request) -> Response:
        chosen, _ = find(request.query_params)
        return JSONResponse(versioned(lines_json(chosen, request.query_params.getlist("known"))))

    return [Route("/curves", show), Route("/curves/lines", lines)]


SECTION = Section("Curves", "/curves", routes)
