"""Commands `transfercli retrain` and `transfercli promote`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from transfercli.cli import completion
from transfercli.cli.command import reports
from transfercli.cli.next_steps import after_promotion, after_retrain
from transfercli.cli.options import RUNS, ConfigFile, Overrides, Runs, Wait
from transfercli.cli.ui.tables import print_pairs
from transfercli.reporting import Reporter
from transfercli.text import decimal

if TYPE_CHECKING:
    from transfercli.workflows.retrain.promote import PromoteResult
    from transfercli.workflows.retrain.results import RetrainResult

Summary = Annotated[
    Path | None,
    typer.Option("--summary", metavar="FILE", help="append the decision as Markdown, for the summary of a CI job"),
]
Hooks = Annotated[bool, typer.Option("--allow-hooks", help="run the program that retrain.on_decision names")]
Challenger = Annotated[
    str | None,
    typer.Argument(metavar="RUN", help="a completed run", show_default=False, autocompletion=completion.runs),
]
Previous = Annotated[
    str | None,
    typer.Option(
        "--previous",
        metavar="EXPERIMENT",
        help="restore the previous champion",
        autocompletion=completion.experiments,
    ),
]


def _show_decision(result: RetrainResult) -> None:
    pairs: list[tuple[str, Any]] = [
        ("time", result.time),
        ("decision", result.decision),
        ("reason", result.reason),
        *result.runs,
        *((f"gate {gate['metric']}", _gate(gate)) for gate in result.gates or ()),
    ]
    changes = "; ".join(result.change_texts())
    alerts = ((f"alert {alert['kind']}", alert["message"]) for alert in result.alerts)
    version = result.version.path if result.version and result.version.new else None
    last = [("figures", result.figure_text or None), ("images", changes or None), ("version", version)]
    print_pairs([*pairs, *last, *alerts])


def _gate(gate: dict[str, Any]) -> str:
    return f"{decimal(gate['value'])}, required {gate['op']} {gate['bound']:g}{'' if gate['passed'] else ': NOT MET'}"


def _show_promoted(result: PromoteResult) -> None:
    figures = result.figures.text if result.figures and not result.figures.worse else ""  # the warning has them, too
    change = ("replaced", result.previous) if result.changed else ("change", "none: it is the champion already")
    pairs = [("experiment", result.experiment), ("champion", result.champion), change]
    print_pairs([*pairs, ("figures", figures or None)])


@reports(_show_decision, after_retrain)
def retrain(
    reporter: Reporter,
    config: ConfigFile,
    overrides: Overrides = None,
    runs: Runs = RUNS,
    wait: Wait = 0.0,
    summary: Summary = None,
    hooks: Hooks = False,
) -> RetrainResult:
    """Train again if something changed, and promote a better model.

    Exit 5 if the challenger is rejected.

    Example: transfercli retrain flowers.yaml
    """
    from transfercli.workflows.retrain.retrain import retrain as run_retrain
    from transfercli.workflows.retrain.state import RetrainRequest

    return run_retrain(RetrainRequest(config, runs, tuple(overrides or ()), wait, summary, hooks), reporter)


@reports(_show_promoted, after_promotion)
def promote(
    reporter: Reporter, run: Challenger = None, previous: Previous = None, runs: Runs = RUNS, wait: Wait = 0.0
) -> PromoteResult:
    """Make a run the champion, or restore the previous champion.

    Example: transfercli promote flowers/20260731-020000-1a2b3c
    """
    from transfercli.workflows.retrain.promote import PromoteRequest
    from transfercli.workflows.retrain.promote import promote as run_promote

    return run_promote(PromoteRequest(run, previous, runs, wait), reporter)
