"""`transfercli retrain` and `transfercli promote`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from transfercli.cli import completion
from transfercli.cli.commands.train import Wait
from transfercli.cli.options import RUNS, ConfigFile, Json, Overrides, Quiet, Runs, Verbose
from transfercli.cli.runner import run_command
from transfercli.cli.ui.tables import print_pairs


def retrain(
    config: ConfigFile,
    overrides: Overrides = None,
    runs: Runs = RUNS,
    wait: Wait = 0.0,
    summary: Annotated[
        Path | None, typer.Option("--summary", metavar="FILE", help="append the decision as Markdown, for a CI job")
    ] = None,
    hooks: Annotated[
        bool, typer.Option("--allow-hooks", help="run the program that retrain.on_decision names")
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Train where something changed, promote what is better.

    Exit 5 where the challenger is rejected.
    """

    def work(console: Any) -> dict[str, Any]:
        from transfercli.workflows.retrain.retrain import RetrainRequest
        from transfercli.workflows.retrain.retrain import retrain as run_retrain

        return run_retrain(RetrainRequest(config, runs, tuple(overrides or ()), wait, summary, hooks), console)

    run_command(work, _show, as_json=json, quiet=quiet, verbose=verbose)


def promote(
    run: Annotated[
        str | None,
        typer.Argument(metavar="RUN", help="a completed run", show_default=False, autocompletion=completion.runs),
    ] = None,
    previous: Annotated[
        str | None,
        typer.Option(
            "--previous",
            metavar="EXPERIMENT",
            help="go back to the champion before",
            autocompletion=completion.experiments,
        ),
    ] = None,
    runs: Runs = RUNS,
    wait: Wait = 0.0,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Make a run the champion of its experiment by hand, or go back."""

    def work(console: Any) -> dict[str, Any]:
        from transfercli.workflows.retrain.promote import PromoteRequest
        from transfercli.workflows.retrain.promote import promote as run_promote

        return run_promote(PromoteRequest(run, previous, runs, wait), console)

    names = ("experiment", "champion", "previous")
    run_command(
        work,
        lambda result: print_pairs((name, result[name]) for name in names),
        as_json=json,
        quiet=quiet,
        verbose=verbose,
    )


def _show(result: dict[str, Any]) -> None:
    pairs = [(name, result[name]) for name in ("time", "decision", "reason", "champion", "challenger")]
    for gate in result.get("gates", []):
        value = "not defined" if gate["value"] is None else f"{gate['value']:.4f}"
        told = f"{value}, wanted {gate['op']} {gate['bound']:g}" + ("" if gate["passed"] else ": NOT MET")
        pairs.append((f"gate {gate['metric']}", told))
    changed = {key: value for key, value in result.get("changes", {}).items() if value}
    if changed:
        said = (f"{v if isinstance(v, int) else ', '.join(v)} {k.replace('_', ' ')}" for k, v in changed.items())
        pairs.append(("images", "; ".join(said)))
    print_pairs(pairs)
