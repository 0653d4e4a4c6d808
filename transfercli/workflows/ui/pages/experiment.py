"""Page of an experiment: its runs, the history of its champion, and the ledger of its test images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.routing import Route

from transfercli.runs import decisions
from transfercli.runs.decisions import PROMOTIONS, Decision
from transfercli.runs.lookup import is_experiment
from transfercli.runs.test_ledger import read_test_ledger
from transfercli.workflows.runs.run_fields import STATES
from transfercli.workflows.ui.pages.choices import LIVE_SECONDS
from transfercli.workflows.ui.pages.leaderboard import Asked, board_of
from transfercli.workflows.ui.pages.parts import part
from transfercli.workflows.ui.site import Section, Site

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

DECISIONS_SHOWN = 200  # the newest ones


@dataclass(frozen=True, slots=True)
class Reign:
    """Time in which a run was champion. until: "" for the champion of now."""

    run_id: str
    decision: str
    reason: str
    since: str
    until: str


@dataclass(frozen=True, slots=True)
class LedgerSummary:
    """Ledger of the test images. asked: comparisons that the most asked image took part in; spent: the mean level."""

    images: int
    asked: int
    spent: float
    most_spent: float


def reigns(log: Sequence[Decision]) -> list[Reign]:
    """Return the champions of an experiment, the newest first."""
    promotions: list[Decision] = []
    for each in log:
        if each.decision in PROMOTIONS and each.champion and [each.champion] != [p.champion for p in promotions[-1:]]:
            promotions.append(each)
    ends = [each.time for each in promotions[1:]]
    ends.append("")
    found = [
        Reign(str(each.champion), each.decision, each.reason, each.time, end)
        for each, end in zip(promotions, ends, strict=False)  # without promotions there is one end too many
    ]
    return found[::-1][:DECISIONS_SHOWN]


def ledger_of(experiment: Path) -> LedgerSummary | None:
    """Return what the ledger says in short; None without one. Raises `ArtefactError` if it is damaged."""
    ledger = read_test_ledger(experiment)
    if ledger is None or not ledger.images:
        return None
    promoted = {str(each.champion) for each in decisions.read(experiment) if each.decision in PROMOTIONS}
    spent = [image.total(promoted) for image in ledger.images]
    asked = max(image.asked for image in ledger.images)
    return LedgerSummary(len(spent), asked, sum(spent) / len(spent), max(spent))


def routes(site: Site) -> Sequence[Route]:
    """Return the routes of the page."""

    def show(request: Request) -> Response:
        name = request.path_params["experiment"]
        if not is_experiment(name, site.runs):
            raise HTTPException(404, "There is no such experiment.")
        listing, folder = site.index.listing(), site.runs / name
        board = board_of(site, listing, Asked.of(request.query_params, experiment=name))
        runs = listing.by_experiment.get(name, [])
        log = part(lambda: decisions.read(folder))
        return site.page(
            request,
            "experiment.html.j2",
            400 if board.problem else 200,
            name=name,
            board=board,
            states=STATES,
            live=LIVE_SECONDS,
            problem=listing.problems.get(name, ""),
            champion=next((run for run in runs if "champion" in run.row.links), None),
            latest=next((run for run in runs if "latest" in run.row.links), None),
            log=log,
            shown=(log.value or [])[::-1][:DECISIONS_SHOWN],
            reigns=reigns(log.value or []),
            ledger=part(lambda: ledger_of(folder)),
        )

    return [Route("/experiments/{experiment}", show)]


SECTION = Section("", "/experiments", routes)
