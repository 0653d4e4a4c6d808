"""Command `transfercli ui`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from transfercli.cli.command import reports
from transfercli.cli.options import HOST, RUNS, UI_PORT, Host, Port, Runs, UnixSocket
from transfercli.reporting import Reporter

if TYPE_CHECKING:
    from transfercli.workflows.ui.ui import UiStarted

AllowChanges = Annotated[
    bool, typer.Option("--allow-changes", help="let the pages write corrections of labels; images stay as they are")
]


def _show(result: UiStarted) -> None:
    """Print nothing: the address was reported when the site was started."""


@reports(_show)
def ui(
    reporter: Reporter,
    runs: Runs = RUNS,
    allow_changes: AllowChanges = False,
    host: Host = HOST,
    port: Port = UI_PORT,
    unix_socket: UnixSocket = None,
) -> UiStarted:
    """Show all runs in a browser, on this machine: a local page that is read-only.

    Example: transfercli ui --runs runs
    """
    from transfercli.web.address import Address
    from transfercli.workflows.ui.ui import UiRequest, run_ui

    request = UiRequest(runs, Address(host, port, unix_socket), allow_changes)
    run_ui(request, reporter, started=lambda site: reporter.info(f"the runs in {runs} are shown at {site.address}"))
