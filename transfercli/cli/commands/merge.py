"""Command `transfercli merge`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from transfercli.cli import completion
from transfercli.cli.choices import MergeHow
from transfercli.cli.command import reports
from transfercli.cli.next_steps import after_merge
from transfercli.cli.options import RUNS, Runs, Wait
from transfercli.cli.ui.tables import print_pairs, print_table
from transfercli.reporting import Reporter
from transfercli.text import counted, duration

if TYPE_CHECKING:
    from transfercli.workflows.merge.result import MergeResult

Members = Annotated[
    list[str],
    typer.Argument(
        metavar="RUN",
        help="the runs to merge, two or more: folders, EXPERIMENT, EXPERIMENT/RUN_ID or EXPERIMENT@champion",
        show_default=False,
        autocompletion=completion.runs,
    ),
]
Name = Annotated[
    str,
    typer.Option("--as", metavar="NAME", help="the new run: its experiment, or EXPERIMENT/RUN_ID", show_default=False),
]
HowOption = Annotated[
    MergeHow,
    typer.Option(
        "--how",
        help="average: the mean of the probabilities; soup: the mean of the weights of runs that started alike",
    ),
]
OVER = {"best_member": "gain over the best member", "mean_member": "gain over the mean member"}


def _show(result: MergeResult) -> None:
    print_table(
        ("member", "val accuracy", "calibrated loss", "used"),
        [
            (member["run"], member["val_accuracy"], member["val_loss"], "yes" if member["used"] else "no")
            for member in result.members
        ],
    )
    print()
    images = f"on {counted(result.scored['images'], 'image')} (answers of {result.scored['answers_of']})"
    print_pairs(
        [
            ("run", result.run),
            ("how", result.how),
            ("val accuracy", f"{result.metrics['val_accuracy']:.4f} {images}"),
            ("calibrated loss", f"{result.metrics['val_loss']:.4f}"),
            *(pair for name, gain in result.gains.items() for pair in _gain(OVER[name], gain)),
            ("note", _note(result)),
            ("time", duration(result.seconds["total"] or 0.0)),
        ]
    )


def _gain(over: str, gain: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what the changes of accuracy and loss show, and both with their intervals."""
    accuracy, loss = gain["val_accuracy"], gain["val_loss"]
    figures = [("  accuracy", _difference(accuracy)), ("  loss", _difference(loss))]
    return [(over, _verdict(accuracy, loss)), *figures]


def _verdict(accuracy: dict[str, Any], loss: dict[str, Any]) -> str:
    """Return which of the two are better or worse beyond their 95% intervals."""
    signs = {"accuracy": _sign(accuracy), "loss": -_sign(loss)}
    found = [f"{word} {name}" for sign, word in ((1, "better"), (-1, "worse")) for name in signs if signs[name] == sign]
    return " and ".join(found) or "no difference shown"


def _sign(gain: dict[str, Any]) -> int:
    """Return 1 or -1 if the interval has only values above or below 0."""
    low, high = gain["interval"] or (0.0, 0.0)
    return (low > 0) - (high < 0)


def _difference(gain: dict[str, Any]) -> str:
    interval = gain["interval"]
    return f"{gain['difference']:+.4f}" + (f" (95%: {interval[0]:+.4f} to {interval[1]:+.4f})" if interval else "")


def _note(result: MergeResult) -> str | None:
    if not result.gains:
        return (
            "each image was scored by the members that did not learn from it, so that these are scores of the members,"
            " not of the merged model; evaluate it on test images"
        )
    if result.scored["chosen_on_them"]:
        used = sum(member["used"] for member in result.members)
        text = f"{used} of {len(result.members)} runs are in the soup"
        return f"{text}; they were chosen on these images, which flatters the accuracy: evaluate on test images"
    return None


@reports(_show, after_merge)
def merge(
    reporter: Reporter,
    members: Members,
    name: Name,
    how: HowOption = "average",
    runs: Runs = RUNS,
    wait: Wait = 0.0,
) -> MergeResult:
    """Make one model from several runs.

    The result is a run: it is calibrated, evaluated, exported and predicted with like any other.

    Example: transfercli merge flowers/a flowers/b --as flowers-both
    """
    from transfercli.workflows.merge.merge import MergeRequest, merge_runs

    return merge_runs(MergeRequest(tuple(members), name, runs, how, wait), reporter)
