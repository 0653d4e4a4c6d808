"""What `evaluate --corrupt` and `--tta` found, as short tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from transfercli.cli.ui.tables import print_table
from transfercli.text import counted


def show_robustness(found: Mapping[str, Any] | None) -> None:
    """A row a corruption: accuracy by severity, and its mean error; nothing where it was not asked for."""
    if found is None:
        return
    by_name = {name: [row for row in found["corruptions"] if row["corruption"] == name] for name in found["errors"]}
    severities = [str(row["severity"]) for row in next(iter(by_name.values()))]
    print("\naccuracy by severity of corruption")
    print_table(
        ("corruption", *severities, "error", "changed"),
        [
            (name, *(row["accuracy"] for row in rows), found["errors"][name], _mean([row["changed"] for row in rows]))
            for name, rows in by_name.items()
        ],
    )
    added, clean = found["relative_corruption_error"], found["clean_error"]
    print(f"mean corruption error {found['mean_corruption_error']:.4f}: {added:+.4f} on {clean:.4f} without corruption")


def show_tta(found: Mapping[str, Any] | None, plain: Mapping[str, Any], names: Iterable[str]) -> None:
    """The metrics `names` of the images and of the mean over their views; nothing where it was not asked for."""
    if found is None:
        return
    flips = "with mirror images" if found["mirrored"] else "no mirror images, as in training"
    print(f"\naveraged over {counted(found['views'], 'view')} of each image ({flips}); a gain above 0 is better")
    print_table(
        ("metric", "plain", "averaged", "gain", "95% interval"),
        [
            (name, plain[name], found["metrics"][name], gain["value"], _interval(gain["interval"]))
            for name in names
            for gain in [found["gain"][name]]
        ],
    )


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _interval(bounds: list[float] | None) -> str:
    return "-" if bounds is None else f"{bounds[0]:+.4f} to {bounds[1]:+.4f}"
