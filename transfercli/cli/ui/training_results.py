"""Results of a training for a person: a run or the cost of one, metrics with their images, best epoch, curves."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transfercli.cli.ui.formatting import sparkline
from transfercli.cli.ui.tables import print_pairs, print_table
from transfercli.text import byte_size, duration, images_per_split

if TYPE_CHECKING:
    from transfercli.workflows.train.results import CostEstimate, TrainResult


def show_estimate(estimate: CostEstimate) -> None:
    """Print the cost of a training and of each of its phases."""
    memory = estimate.peak_memory_bytes
    print_pairs(
        [
            ("images", images_per_split(estimate.images, estimate.groups)),
            ("classes", ", ".join(estimate.classes)),
            ("parameters", f"{estimate.parameters:,}"),
            ("time for features, about", duration(estimate.feature_seconds)),
            ("features on disk", byte_size(estimate.cache_bytes)),
            ("run on disk, at most", byte_size(estimate.run_bytes)),
            ("time for training, about", f"{duration(estimate.train_seconds)}, compilation included"),
            ("peak memory", byte_size(memory) if memory else None),
            ("not counted", "start of the program and Keras, and reading the images"),
        ]
    )
    print_table(
        ("kind", "unfreeze", "parameters", "epochs", "learning rate", "features", "train"),
        [
            (
                phase.kind,
                f"{phase.unfreeze}, LoRA of rank {phase.lora_rank}" if phase.lora_rank else phase.unfreeze,
                f"{phase.trained:,}",
                phase.epochs,
                f"{phase.learning_rate:g}",
                duration(phase.features),
                duration(phase.train),
            )
            for phase in estimate.phases
        ],
    )


def show_run(result: TrainResult) -> None:
    """Print a run that was trained."""
    print_pairs(
        [
            ("run", result.run),
            ("status", result.status),
            ("best epoch", best_epoch_text(result.best_epoch)),
            *(
                (
                    name.replace("_", " "),
                    f"{result.metrics[name]:.4f}{of_images(name, result.cross_validated, result.adaptation)}",
                )
                for name in ("val_map", "val_mae", "val_r2", "val_accuracy", "val_loss")
                if name in result.metrics
            ),
            *curves_of(result.run),
            ("time", duration(result.seconds["total"] or 0.0)),
            ("next", f"transfercli evaluate {shlex.quote(str(result.run))}"),
        ]
    )


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
    headline = next((name for name in ("val_map", "val_mae") if any(name in line for line in lines)), "val_accuracy")
    names = ("val_loss", headline) if len(lines) > 1 else ()
    return [(f"{name} curve".replace("_", " "), curve([line.get(name) for line in lines])) for name in names]
