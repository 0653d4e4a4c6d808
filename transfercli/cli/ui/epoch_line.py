"""The line of an epoch, in parts, so that a narrow terminal can go without some of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from transfercli.text import duration, shortened

CLASS_LENGTH = 24
GAP = "  "


@dataclass(frozen=True, slots=True)
class Part:
    """need: the parts with the smallest go first where a line is too long; None stays whatever the room."""

    text: str
    need: int | None = None


def epoch_parts(record: dict[str, Any], total: int, left: float) -> list[Part]:
    """The parts of a line of `metrics.jsonl`.

    What is solved for and not trained has no number, no rate and nothing left to wait for. total: epochs of the plan;
    left: estimated seconds of those to come.
    """
    number, seconds = record["epoch"], duration(record["seconds"])
    trained = 1 <= number <= total
    parts = [
        Part(f"epoch {number}/{total}" if trained else "blend" if number else "probe"),
        Part(f"loss {record['loss']:.4f}  accuracy {record['accuracy']:.4f}", need=4),
        Part(f"val_loss {record['val_loss']:.4f}", need=6),
        Part(f"val_accuracy {record['val_accuracy']:.4f}"),
        Part(worst_class(record.get("val_recall", {})), need=3),
    ]
    if trained:
        parts += [
            Part(f"lr {record['learning_rate']:.2g}", need=2),
            Part(f"{record['images_per_second']:.0f} images/s", need=1),
        ]
    parts.append(Part(f"{seconds}, {duration(left)} left" if trained else seconds, need=5))
    return [part for part in parts if part.text]


def worst_class(recall: dict[str, float]) -> str:
    """The class of which the smallest share was found, unless every image of every class was."""
    share, label = min(((share, label) for label, share in recall.items()), default=(1.0, ""))
    return f"worst class {shortened(repr(label), CLASS_LENGTH)} {share:.2f}" if share < 1 else ""


def line_of(parts: Sequence[Part], width: int | None = None) -> str:
    """The parts side by side; of a `width` in characters, without those that are needed least until they fit."""
    kept = list(parts)
    droppable = sorted((part for part in parts if part.need is not None), key=lambda part: part.need or 0)
    for part in droppable:
        if width is None or len(_joined(kept)) <= width:
            break
        kept.remove(part)
    return _joined(kept)


def _joined(parts: Sequence[Part]) -> str:
    return GAP.join(part.text for part in parts)
