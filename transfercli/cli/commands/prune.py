"""`transfercli runs prune`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from transfercli.cli import completion
from transfercli.cli.options import RUNS, Json, Quiet, Runs, Verbose
from transfercli.cli.runner import run_command
from transfercli.cli.ui.tables import print_pairs, print_table
from transfercli.text import byte_size


def prune(
    experiments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[EXPERIMENT…]", help="only their runs", show_default=False, autocompletion=completion.experiments
        ),
    ] = None,
    last: Annotated[
        int | None, typer.Option("--keep-last", metavar="N", min=0, help="keep the N newest runs of an experiment")
    ] = None,
    days: Annotated[
        float | None, typer.Option("--keep-days", metavar="D", min=0, help="keep runs begun in the last D days")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what would be removed, and remove nothing")] = False,
    runs: Runs = RUNS,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Remove old runs, never a champion.

    The champion before, what either came from, and a run that is going on stay, too.
    """

    def work(console: Any) -> dict[str, Any]:
        from transfercli.workflows.runs.prune import PruneRequest
        from transfercli.workflows.runs.prune import prune as prune_runs

        return prune_runs(PruneRequest(runs, tuple(experiments or ()), last, days, dry_run), console)

    run_command(work, _show, as_json=json, quiet=quiet, verbose=verbose)


def _show(result: dict[str, Any]) -> None:
    said = "would be removed" if result["dry_run"] else "removed"
    size = byte_size(result["bytes"])
    print_pairs([(said, f"{len(result['removed'])}, {size}"), ("kept", len(result["kept"]))])
    rows = [(Path(run).parent.name + "/" + Path(run).name, said) for run in result["removed"]]
    rows += [(Path(one["run"]).parent.name + "/" + Path(one["run"]).name, one["why"]) for one in result["kept"]]
    if rows:
        print()
        print_table(("run", "outcome"), rows)
