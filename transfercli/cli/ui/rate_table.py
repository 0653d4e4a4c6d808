"""Table of a learning-rate range test."""

from __future__ import annotations

from typing import TYPE_CHECKING

from transfercli.cli.ui.tables import print_pairs

if TYPE_CHECKING:
    from transfercli.workflows.train.find_rate import RateResult


def show_rates(result: RateResult) -> None:
    """Print the rates that a range test suggests, and its picture."""
    found = result.found
    share = "" if result.phase_rate == 1 else f", which trains at {result.phase_rate:g} times the rate"
    print_pairs(
        [
            ("phase tested", f"{result.number}, unfreeze {result.phase.unfreeze}{share}"),
            ("updates", str(len(result.points))),
            (f"{result.key} in the config", f"{result.configured:g}"),
            ("suggested", None if found is None else f"{result.suggestion:g}, a tenth of the rate at the lowest loss"),
            ("lowest loss at", None if found is None else f"{found.minimum:.2g}"),
            ("steepest descent at", None if found is None else f"{found.steepest:.2g}"),
            ("picture", str(result.picture)),
        ]
    )
