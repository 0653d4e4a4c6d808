"""Workflow of `ui`: serve the pages over all runs until the command is asked to stop."""

from __future__ import annotations

import secrets
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import quote

from transfercli.errors import UsageError
from transfercli.reporting import Reporter
from transfercli.web.address import Address, check_installed

ALL_ADDRESSES = ("0.0.0.0", "::")


@dataclass(frozen=True, slots=True)
class UiRequest:
    """Options of `ui`: the folder of all runs, the address to listen on, and if pages may change labels.

    token_file: file with the token that a browser must show; without one, only an address that other machines can
    connect to has a token, made for this process. reviewer: name beside decisions on labels, if the page gives none.
    """

    runs: Path
    address: Address
    allow_changes: bool = False
    token_file: Path | None = None
    reviewer: str = ""


@dataclass(frozen=True, slots=True)
class UiStarted:
    """Site that answers. address: as a person opens it, with the token if there is one."""

    address: str

    def as_json(self) -> dict[str, Any]:
        return {"address": self.address}


def run_ui(request: UiRequest, reporter: Reporter, *, started: Callable[[UiStarted], None]) -> NoReturn:
    """Serve the pages; end with `Interrupted` when the command is asked to stop.

    started: called once the site answers. Raises `UsageError` if the folder of runs does not exist, or if the address
    or the token cannot be used.
    """
    check_installed("ui")
    if not request.runs.is_dir():
        raise UsageError(f"--runs {request.runs} is not a folder", "name the folder that training wrote its runs to")
    from transfercli.web.server import run_server
    from transfercli.workflows.ui.app import build_app
    from transfercli.workflows.ui.site import Site

    token = _token(request)
    site = Site(request.runs, request.allow_changes, reporter, reviewer=request.reviewer)
    app = build_app(site, token=token, hosts=_names_of_host(request.address))

    def announce(real: Address) -> None:
        warm = partial(site.index.warm, lambda: bool(reporter.stop_signal()))
        threading.Thread(target=warm, name="index", daemon=True).start()
        started(UiStarted(real.text if token is None else f"{_opened(real)}/?token={quote(token, safe='')}"))

    try:
        run_server(app, request.address, reporter, started=announce)
    finally:
        site.workers.close()
    raise AssertionError("the server ends with an error")


def _token(request: UiRequest) -> str | None:
    from transfercli.web.guards import read_token

    if request.token_file is not None:
        return read_token(request.token_file)
    return None if request.address.is_loopback else secrets.token_urlsafe(24)


def _names_of_host(address: Address) -> frozenset[str] | None:
    """Return the names that a browser may call this machine by; None for any.

    A foreign page that leads a browser here under a name of its own (DNS rebinding) has no cookie with the token, so
    any name is safe if there is one, as there always is if other machines can connect.
    """
    from transfercli.web.guards import LOOPBACK_NAMES

    return LOOPBACK_NAMES if address.is_loopback else None


def _opened(address: Address) -> str:
    """Return an address that a browser can open: a name of this machine in place of `0.0.0.0`."""
    if address.host in ALL_ADDRESSES:
        return Address(socket.gethostname(), address.port).text
    return address.text
