"""Workflow of `serve`: models that answer over HTTP until the command is asked to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn

from transfercli.errors import TransferError, UsageError
from transfercli.reporting import Forwarding, Reporter
from transfercli.text import first_line
from transfercli.web.address import Address, check_installed
from transfercli.workflows.serve.defaults import MEBIBYTE, MOST_MEBIBYTES, QUEUE_IMAGES, SECONDS
from transfercli.workflows.serve.hosting import Models
from transfercli.workflows.serve.targets import Source, Target, parse_targets

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from transfercli.workflows.serve.recording import Recording


@dataclass(frozen=True, slots=True)
class ServeRequest:
    """Options of `serve`.

    targets: NAME=TARGET as typed. format: of the exports to serve in place of runs; None for the runs.
    token_file: holds the token that requests must have. queue_images: most images that may wait for a model.
    seconds: for an answer. most_mebibytes: of a request. access_log: file that gets a line of JSON for each request.
    log: folder of the answer log, which keeps `keep_images` of the least sure images; None for none.
    """

    targets: tuple[str, ...]
    runs: Path
    address: Address
    format: str | None = None
    token_file: Path | None = None
    queue_images: int = QUEUE_IMAGES
    seconds: float = SECONDS
    most_mebibytes: int = MOST_MEBIBYTES
    access_log: Path | None = None
    log: Path | None = None
    keep_images: int = 0


@dataclass(frozen=True, slots=True)
class ServeStarted:
    """Server that answers. address: as a client opens it. models: name -> (version, state)."""

    address: str
    models: dict[str, tuple[str, str]]

    def as_json(self) -> dict[str, Any]:
        models = [{"name": name, "version": version, "state": state} for name, (version, state) in self.models.items()]
        return {"address": self.address, "models": models}


def serve(request: ServeRequest, reporter: Reporter, *, started: Callable[[ServeStarted], None]) -> NoReturn:
    """Serve models; end with `Interrupted` when the command is asked to stop, after the requests under way.

    started: called once the server listens and each model answers or could not be loaded. A model that cannot be loaded
    is a warning, and is tried again.

    Raises `UsageError` for an argument or an address that cannot be used, `ArtefactError` if a target names no model,
    and the error of the first model if none could be loaded.
    """
    check_installed("serve")
    targets = parse_targets(request.targets, request.runs, request.format)
    sources = [(target, _source(target, reporter)) for target in targets]
    token = _token(request.token_file)
    if token is None and not request.address.is_loopback:
        reporter.warning(
            f"--host {request.address.host}: anyone who reaches this port may ask; --token-file asks for a token"
        )
    with ExitStack() as stack:
        log = None if request.access_log is None else stack.enter_context(_opened(request.access_log))
        # Their processes load the models while this one imports the server.
        models = Models(sources, reporter, request.queue_images, _recording(request, reporter))
        stack.callback(models.kill)
        _run(models, request, token, log, reporter, started)
    raise AssertionError("the server ends with an error")


def _run(
    models: Models,
    request: ServeRequest,
    token: str | None,
    log: BinaryIO | None,
    reporter: Reporter,
    started: Callable[[ServeStarted], None],
) -> None:
    from transfercli.web.server import run_server
    from transfercli.workflows.serve.app import build_app
    from transfercli.workflows.serve.metrics import Metrics
    from transfercli.workflows.serve.service import Settings

    settings = Settings(
        request.address,
        token,
        most_bytes=request.most_mebibytes * MEBIBYTE,
        seconds=request.seconds,
        log=log,
        report_bug=lambda error: reporter.warning(f"bug: {type(error).__name__}: {first_line(error)}"),
        warn=reporter.warning,
    )
    ending, metrics = _Ending(reporter), Metrics()
    models.shared.observer = metrics
    app = _Hosted(build_app(models, settings, metrics), models)
    run_server(app, request.address, ending, started=lambda real: app.announce(real, started, ending))


def _recording(request: ServeRequest, reporter: Reporter) -> Recording | None:
    """Return the options of the answer log that a request asks for, or None."""
    if request.log is None:
        return None
    from transfercli.workflows.serve.recording import Recording

    return Recording(request.log, request.keep_images, reporter)


def _opened(file: Path) -> BinaryIO:
    """Open an access log to add lines. Raises `UsageError` if it cannot be written."""
    try:
        return file.open("ab", buffering=0)
    except OSError as error:
        raise UsageError(f"--access-log {file} cannot be written: {error.strerror}", "name another file") from error


def _source(target: Target, reporter: Reporter) -> Source:
    """Return what a target means now. Raises `UsageError` for an unknown format, whose table takes long to import."""
    try:
        return target.source(reporter)
    except TransferError:
        if target.format is not None:
            from transfercli.export.formats.registry import FORMATS, check_formats

            if target.format not in FORMATS:
                check_formats((target.format,))
        raise


def _token(file: Path | None) -> str | None:
    if file is None:
        return None
    from transfercli.web.guards import read_token

    return read_token(file)


class _Ending(Forwarding):
    """Reporter that also ends the server with an error."""

    error: TransferError | None = None

    def stop_signal(self) -> int:
        return -1 if self.error else self.reporter.stop_signal()

    def progress(self, stage: str, done: int, total: int, unit: str = "images") -> None:
        self.reporter.progress(stage, done, total, unit)
        if self.error:
            raise self.error


class _Hosted:
    """Application whose models start and end with the server."""

    def __init__(self, app: ASGIApp, models: Models) -> None:
        self._app, self._models = app, models
        self._announcing: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await self._app(scope, receive, send)
            return
        async with self._models:
            await self._app(scope, receive, send)

    def announce(self, address: Address, started: Callable[[ServeStarted], None], ending: _Ending) -> None:
        """Call `started` as soon as each model answers or failed; end the server if none answers."""
        self._announcing = asyncio.create_task(self._announce(address, started, ending))

    async def _announce(self, address: Address, started: Callable[[ServeStarted], None], ending: _Ending) -> None:
        outcomes = await self._models.first_outcomes()
        if all(outcomes):
            ending.error = outcomes[0]
        else:
            states = {name: (model.version, model.state) for name, model in self._models.items()}
            started(ServeStarted(address.text, states))
