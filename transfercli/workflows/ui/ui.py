"""Workflow of `ui`: serve the pages over all runs until the command is asked to stop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from transfercli.errors import UsageError
from transfercli.reporting import Reporter
from transfercli.web.address import Address, check_installed


@dataclass(frozen=True, slots=True)
class UiRequest:
    """Options of `ui`: the folder of all runs, the address to listen on, and if pages may change labels."""

    runs: Path
    address: Address
    allow_changes: bool = False


@dataclass(frozen=True, slots=True)
class UiStarted:
    """Site that answers. address: as a person opens it."""

    address: str

    def as_json(self) -> dict[str, Any]:
        return {"address": self.address}


def run_ui(request: UiRequest, reporter: Reporter, *, started: Callable[[UiStarted], None]) -> NoReturn:
    """Serve the pages; end with `Interrupted` when the command is asked to stop.

    started: called once the site answers. Raises `UsageError` if the folder of runs does not exist, or if the address
    cannot be used.
    """
    check_installed("ui")
    if not request.runs.is_dir():
        raise UsageError(f"--runs {request.runs} is not a folder", "name the folder that training wrote its runs to")
    from transfercli.web.server import run_server
    from transfercli.workflows.ui.app import build_app
    from transfercli.workflows.ui.site import Site

    app = build_app(Site(request.runs, request.allow_changes, reporter))
    run_server(app, request.address, reporter, started=lambda real: started(UiStarted(real.text)))
    raise AssertionError("the server ends with an error")
