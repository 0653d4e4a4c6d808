"""Tables of the results of `evaluate --corrupt` and `evaluate --tta`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from transfercli.cli.ui.tables import print_table, print_text
from transfercli.text import counted


def show_robustness(result: Mapping[str, Any] | None) -> None:
    """Print a row per corruption: accuracy by severity, error, share of changed predictions; nothing for None."""
    if result is None:
        return
    by_name = {name: [row for row in result["corruptions"] if row["corruption"] == name] for name in result["errors"]}
    severities = [str(row["severity"]) for row in next(iter(by_name.values()))]
    print("\naccuracy by severity of corruption")
    print_table(
        ("corruption", *severities, "error", "changed"),
        [
            (name, *(row["accuracy"] for row in rows), result["errors"][name], _mean([row["changed"] for row in rows]))
            for name, rows in by_name.items()
        ],
    )
    added, clean = result["relative_corruption_error"], result["clean_error"]
    print_text(
        f"mean corruption error {result['mean_corruption_error']:.4f}: {added:+.4f} on {clean:.4f} without corruption"
    )


def show_tta(result: Mapping[str, Any] | None, plain: Mapping[str, Any], names: Iterable[str]) -> None:
    """Print the metrics `names` of the images and of the mean over their views; nothing for None."""
    if result is None:
        return
    flips = "with mirror images" if result["mirrored"] else "no mirror images, as in training"
    print_text(f"\naveraged over {counted(result['views'], 'view')} of each image ({flips}); a gain above 0 is better")
    print_table(
        ("metric", "plain", "averaged", "gain", "95% interval"),
        [
            (name, plain[name], result["metrics"][name], gain["value"], _interval(gain["interval"]))
            for name in names
            for gain in [result["gain"][name]]
        ],
    )


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _interval(bounds: list[float] | None) -> str:
    return "-" if bounds is None else f"{bounds[0]:+.4f} to {bounds[1]:+.4f}"
