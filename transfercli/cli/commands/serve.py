"""Command `transfercli serve`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from transfercli.cli import completion
from transfercli.cli.command import Announce, serves
from transfercli.cli.options import (
    HOST,
    RUNS,
    SERVE_PORT,
    Host,
    KeepImages,
    Log,
    Port,
    Runs,
    TokenFile,
    UnixSocket,
    check_log,
)
from transfercli.reporting import Reporter
from transfercli.workflows.serve.defaults import MOST_MEBIBYTES, QUEUE_IMAGES, SECONDS

if TYPE_CHECKING:
    from transfercli.workflows.serve.serve import ServeStarted

Targets = Annotated[
    list[str],
    typer.Argument(
        metavar="NAME=TARGET",
        help="a model: a run, EXPERIMENT, EXPERIMENT@champion, or an exported artefact; NAME= may be left out of one",
        show_default=False,
        autocompletion=completion.runs,
    ),
]
Queue = Annotated[int, typer.Option("--queue", metavar="N", min=1, help="images that may wait for a model")]
Timeout = Annotated[float, typer.Option("--timeout", metavar="SECONDS", min=0.01, help="time for an answer")]
MaxRequest = Annotated[int, typer.Option("--max-request", metavar="MIB", min=1, help="size of a request")]
AccessLog = Annotated[
    Path | None,
    typer.Option("--access-log", metavar="FILE", help="add a line of JSON for each request", show_default=False),
]
Format = Annotated[
    str | None,  # checked when the export is not found: the table of formats takes long to import
    typer.Option(
        "--format",
        metavar="FORMAT",
        help="serve the export of each run in this format, in its own runtime",
        show_default=False,
        autocompletion=completion.table_names("format"),
    ),
]


def _show(result: ServeStarted) -> None:
    print(result.address)


@serves(_show)
def serve(
    reporter: Reporter,
    announce: Announce,
    targets: Targets,
    host: Host = HOST,
    port: Port = SERVE_PORT,
    unix_socket: UnixSocket = None,
    token_file: TokenFile = None,
    format: Format = None,
    queue: Queue = QUEUE_IMAGES,
    timeout: Timeout = SECONDS,
    max_request: MaxRequest = MOST_MEBIBYTES,
    access_log: AccessLog = None,
    log: Log = None,
    keep_images: KeepImages = 0,
    runs: Runs = RUNS,
) -> NoReturn:
    """Serve models over HTTP.

    Listens on this machine only, unless --host says otherwise. Speaks the protocols of TensorFlow Serving and KServe,
    and takes plain images: POST /predict/NAME. Answers as predict --abstain does. Prints its address as soon as the
    models answer. EXPERIMENT@champion follows promotions.

    Example: transfercli serve flowers=flowers@champion --port 8500
    """
    from transfercli.web.address import Address
    from transfercli.workflows.serve.serve import ServeRequest, serve

    check_log(log, keep_images)
    request = ServeRequest(
        tuple(targets),
        runs,
        Address(host, port, unix_socket),
        format,
        token_file,
        queue,
        timeout,
        max_request,
        access_log,
        log,
        keep_images,
    )
    serve(request, reporter, started=announce)
