"""Options and arguments that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from transfercli.cli import completion
from transfercli.cli.choices import Engine
from transfercli.errors import UsageError
from transfercli.io.addresses import LOOPBACK, as_given, is_remote
from transfercli.runs.folder import DEFAULT_RUNS
from transfercli.shards import Shard, parse_shard

ConfigFile = Annotated[
    Path, typer.Argument(metavar="CONFIG", help="a YAML file that describes one experiment", show_default=False)
]
Run = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="a run folder, EXPERIMENT (its latest completed run), EXPERIMENT@champion or EXPERIMENT/RUN_ID",
        show_default=False,
        autocompletion=completion.runs,
    ),
]


def _check_runs(folder: Path) -> Path:
    """Refuse an address, which would be the name of a folder here."""
    if is_remote(as_given(folder)):
        raise typer.BadParameter(f"{as_given(folder)} is an address; runs are kept in a folder of this machine")
    return folder


Runs = Annotated[
    Path,
    typer.Option("--runs", metavar="DIR", envvar="TRANSFERCLI_RUNS", help="folder of all runs", callback=_check_runs),
]


def _check_overrides(texts: list[str] | None) -> list[str] | None:
    """Refuse what is no override at all as a usage error; keys and values are checked with the config."""
    for text in texts or ():
        name, equals, _ = text.partition("=")
        if not equals or not all(name.strip().split(".")):
            raise typer.BadParameter(f"{text!r} must look like KEY=VALUE, such as training.epochs=5")
    return texts


Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="override one key, such as training.epochs=5; repeatable",
        callback=_check_overrides,
    ),
]
Host = Annotated[
    str, typer.Option("--host", metavar="H", help="address of this machine to listen on; 0.0.0.0 for other machines")
]
Port = Annotated[int, typer.Option("--port", metavar="P", min=0, max=65535, help="port to listen on; 0: any free one")]
UnixSocket = Annotated[
    Path | None,
    typer.Option(
        "--unix-socket", metavar="FILE", help="listen on a Unix socket in place of a port", show_default=False
    ),
]
TokenFile = Annotated[
    Path | None,
    typer.Option(
        "--token-file", metavar="FILE", help="a file that holds the token to ask each client for", show_default=False
    ),
]
Wait = Annotated[float, typer.Option("--wait", metavar="SECONDS", min=0, help="time to wait for the experiment's lock")]
Part = Annotated[
    str | None,
    typer.Option(
        "--shard",
        metavar="i/n",
        help="do the i-th of n parts of the work, counted from 1, such as 1/4",
        show_default=False,
    ),
]


def shard_of(part: str | None) -> Shard | None:
    """Return the shard that the value of --shard names; None without the option. Raises `UsageError`."""
    return None if part is None else parse_shard(part)


Log = Annotated[
    Path | None,
    typer.Option(
        "--log",
        metavar="DIR",
        help="keep counts and a sample of the answers, for monitor; no paths and no pixels",
        show_default=False,
    ),
]
KeepImages = Annotated[
    int,
    typer.Option("--keep-images", metavar="N", min=0, max=100_000, help="with --log: keep the N least sure images"),
]


def check_log(log: Path | None, keep_images: int, engine: Engine = "local") -> None:
    """Raise `UsageError` if images are to be kept without a log, or if a cluster is to write one."""
    if keep_images and log is None:
        raise UsageError("--keep-images keeps images in a log, and there is none", "add --log DIR")
    if log is not None and engine != "local":
        raise UsageError(
            f"--log with --engine {engine}: a task that a lost node did is done again, and would be counted twice",
            "leave one out, or share out the images with --shard",
        )


MaxBad = Annotated[
    float | None,
    typer.Option(
        "--max-bad", metavar="X", min=0, max=1, help="largest fraction of unreadable images; default: the run's config"
    ),
]
OnEngine = Annotated[
    Engine,
    typer.Option("--engine", help="local: this process; ray: the Ray cluster of RAY_ADDRESS, or one started here"),
]
Json = Annotated[bool, typer.Option("--json", help="print exactly one JSON object on stdout")]
Quiet = Annotated[bool, typer.Option("--quiet", help="print only warnings and errors on stderr")]
Verbose = Annotated[bool, typer.Option("--verbose", help="print more detail on stderr")]

RUNS = DEFAULT_RUNS
HOST = LOOPBACK
SERVE_PORT = 8500
UI_PORT = 8600
# The help of their argument.
IMAGE_PATHS = "image files, folders, tar archives, patterns or addresses (s3://…), or - for a list on stdin"
