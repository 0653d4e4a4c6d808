"""Commands `transfercli runs …`: the life of runs."""

from __future__ import annotations

import typer

from transfercli.cli.commands.runs.compare import compare
from transfercli.cli.commands.runs.list import list_
from transfercli.cli.commands.runs.prune import prune
from transfercli.cli.commands.runs.show import show
from transfercli.cli.commands.runs.why import why

app = typer.Typer(help="List, show, compare, explain and prune runs.", no_args_is_help=True)
app.command("list")(list_)
app.command()(show)
app.command()(compare)
app.command()(why)
app.command()(prune)
