"""Texts on the results of a training: metrics with the images that they are of, best epoch, curves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transfercli.cli.ui.formatting import sparkline


def curve(values: list[float | None]) -> str:
    """Return a sparkline between the first and the last value; "-" if there is no value."""
    known = [value for value in values if value is not None]
    return f"{known[0]:.4f} {sparkline(known)} {known[-1]:.4f}" if known else "-"


def of_images(name: str, cross_validated: int | None, adaptation: Mapping[str, Any] | None) -> str:
    """Return what follows a metric of a training: the images that it is of, if they are not those of its name."""
    notes = []
    if cross_validated and name.startswith("val_"):
        notes.append(f"cross-validated on {cross_validated} training and validation images")
        if adaptation and adaptation.get("case") == "related domains" and len(adaptation.get("tried") or ()) > 1:
            notes.append(f"the best of {len(adaptation['tried'])} that were tried on them")
    if adaptation and adaptation.get("case") == "another domain":
        notes.append("not of the target's domain")
    return f" ({', '.join(notes)})" if notes else ""


def best_epoch_text(best: int | None) -> str | None:
    """Return the number of the best epoch; the probe that is solved before the first epoch has none."""
    return "probe (no epochs)" if best == 0 else None if best is None else str(best)


def metric_label(key: str) -> str:
    """Return the words for a key of `metrics.jsonl`: `val_loss` -> `validation loss`, `loss` -> `training loss`."""
    images, name = ("validation", key.removeprefix("val_")) if key.startswith("val_") else ("training", key)
    return f"{images} {name.replace('_', ' ')}"


def curves_of(run: Path) -> list[tuple[str, str]]:
    """Return (name, curve) pairs of a run; none if it trained for one epoch or less."""
    from transfercli.runs.folder import RunFolder
    from transfercli.training import history

    lines = history.read(RunFolder(run).metrics)
    names = ("val_loss", "val_accuracy") if len(lines) > 1 else ()
    return [(f"{name} curve".replace("_", " "), curve([line.get(name) for line in lines])) for name in names]
