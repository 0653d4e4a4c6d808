"""Command `transfercli ui`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from transfercli.cli.command import Announce, serves
from transfercli.cli.options import HOST, RUNS, UI_PORT, Host, Port, Runs, TokenFile, UnixSocket
from transfercli.cli.ui.tables import print_pairs
from transfercli.reporting import Reporter

if TYPE_CHECKING:
    from transfercli.workflows.ui.ui import UiStarted

AllowChanges = Annotated[
    bool, typer.Option("--allow-changes", help="let the pages write corrections of labels; images stay as they are")
]
Reviewer = Annotated[
    str, typer.Option("--reviewer", metavar="NAME", help="name beside decisions on labels, if the page gives none")
]


def _show(result: UiStarted) -> None:
    print_pairs([("address", result.address)])


@serves(_show)
def ui(
    reporter: Reporter,
    announce: Announce,
    runs: Runs = RUNS,
    allow_changes: AllowChanges = False,
    host: Host = HOST,
    port: Port = UI_PORT,
    unix_socket: UnixSocket = None,
    token_file: TokenFile = None,
    reviewer: Reviewer = "",
) -> NoReturn:
    """Show all runs in a browser: a local page.

    It is read-only without --allow-changes. Listens on this machine only, unless --host says otherwise; then a browser
    must show a token, which is in the address that is printed.

    Example: transfercli ui --runs runs
    """
    from transfercli.web.address import Address
    from transfercli.workflows.ui.reviewer import checked_reviewer
    from transfercli.workflows.ui.ui import UiRequest, run_ui

    def started(site: UiStarted) -> None:
        reporter.info(f"the runs in {runs} are shown at {site.address}")
        announce(site)

    request = UiRequest(runs, Address(host, port, unix_socket), allow_changes, token_file, checked_reviewer(reviewer))
    run_ui(request, reporter, started=started)
