"""Progress line of an epoch, in parts, some of which are omitted on a narrow terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from transfercli.text import duration, shortened

CLASS_LENGTH = 24
GAP = "  "


@dataclass(frozen=True, slots=True)
class Part:
    """Part of a line. priority: in a line that is too long, parts with the lowest are omitted first; None: never."""

    text: str
    priority: int | None = None


def epoch_parts(record: dict[str, Any], total: int, left: float) -> list[Part]:
    """Return the parts of a line of `metrics.jsonl`.

    A phase that is solved, not trained, has no epoch number, no learning rate and no remaining time. total: number of
    all epochs; left: estimated seconds of the remaining epochs.
    """
    number, seconds = record["epoch"], duration(record["seconds"])
    trained, several = 1 <= number <= total, "val_map" in record
    headline = next(name for name in ("val_map", "val_mae", "val_accuracy") if name in record)
    parts = [
        Part(f"epoch {number}/{total}" if trained else "blend" if number else "probe"),
        Part(f"loss {record['loss']:.4f}", priority=8),
        Part(f"accuracy {record['accuracy']:.4f}" if "accuracy" in record else "", priority=5),
        Part(f"val_loss {record['val_loss']:.4f}", priority=7),
        Part(f"{headline} {record[headline]:.4f}"),
        Part(worst_class(record.get("val_recall", {}), "label" if several else "class"), priority=4),
    ]
    if trained:
        parts += [
            Part(f"lr {record['learning_rate']:.2g}", priority=2),
            Part(f"{record['images_per_second']:.0f} images/s", priority=1),
        ]
    parts.append(Part(seconds, priority=3))
    if trained and number < total:
        parts.append(Part(f"{duration(left)} left", priority=6))
    return [part for part in parts if part.text]


def worst_class(recall: dict[str, float], kind: str = "class") -> str:
    """Return the class or label with the lowest recall, or "" if every recall is 1."""
    lowest, label = min(((value, label) for label, value in recall.items()), default=(1.0, ""))
    return f"worst {kind} {shortened(repr(label), CLASS_LENGTH)} {lowest:.2f}" if lowest < 1 else ""


def line_of(parts: Sequence[Part], width: int | None = None) -> str:
    """Return the parts in one line; omit those with the lowest priority until it fits `width` characters."""
    kept = list(parts)
    droppable = sorted((part for part in parts if part.priority is not None), key=lambda part: part.priority or 0)
    for part in droppable:
        if width is None or len(_joined(kept)) <= width:
            break
        kept.remove(part)
    return _joined(kept)


def _joined(parts: Sequence[Part]) -> str:
    return GAP.join(part.text for part in parts)
