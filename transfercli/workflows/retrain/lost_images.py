"""Images that were there on an earlier night and are gone: a mount that is missing must not pass as a change.

The number of images of each class stands in the log of decisions. A loss is reported every night, also when nothing is
trained, until the images are back or the config says with `data.expect` what must be there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from transfercli.config.dump import quoted
from transfercli.data.dataset import Record
from transfercli.runs.decisions import Decision
from transfercli.text import counted, first_of

SHARE = 0.1  # a smaller loss of images, with all classes still there, is not reported
IMAGES = "images"  # key of a decision's facts: class -> number of usable images
BEFORE = "images_before"  # and as it was before a loss that is still there
_LISTED = 5


@dataclass(frozen=True)
class Loss:
    """Images that are gone.

    Attributes:
        before: class -> number of images before the loss.
        now: class -> number of images now.
    """

    before: Mapping[str, int]
    now: Mapping[str, int]

    @property
    def classes(self) -> list[str]:
        """Classes without any image now."""
        return sorted(label for label, count in self.before.items() if count and not self.now.get(label))

    @property
    def images(self) -> int:
        """Number of images that are gone, at least those of the lost classes."""
        lost = sum(self.before[label] for label in self.classes)
        return max(lost, sum(self.before.values()) - sum(self.now.values()))

    @property
    def is_large(self) -> bool:
        """True if a class or more than `SHARE` of the images is gone."""
        return bool(self.classes) or self.images > SHARE * sum(self.before.values())

    @property
    def text(self) -> str:
        """The loss and its remedies in words."""
        parts = [f"{self.images} of {counted(sum(self.before.values()), 'image')}"]
        if self.classes:
            parts.insert(0, f"{len(self.classes)} of {len(self.before)} classes ({_named(self.classes)})")
        present = sorted(label for label, count in self.now.items() if count)
        names = f"[{', '.join(map(quoted, present))}]" if len(present) <= _LISTED else str(len(present))
        return (
            f"{' and '.join(parts)} are gone that were there on an earlier night: bring them back, or set"
            f" data.expect: {{min_images: {sum(self.now.values())}, classes: {names}}} if this is right"
        )

    def as_json(self) -> dict[str, Any]:
        return {"classes": self.classes, "images": self.images, "before": sum(self.before.values())}


def image_counts(records: Iterable[Record]) -> dict[str, int]:
    """Return class -> number of usable images."""
    return dict(sorted(Counter(record.label for record in records if record.split and not record.problem).items()))


def counts_before(log: Sequence[Decision], champion: Iterable[Record]) -> dict[str, int]:
    """Return class -> number of images on the last night, or before a loss that was reported then.

    champion: records of the champion, for an experiment without such a night.
    """
    for decision in reversed(log):
        counts = decision.facts.get(BEFORE) or decision.facts.get(IMAGES)
        if isinstance(counts, dict) and all(type(count) is int for count in counts.values()):
            return counts
    return image_counts(champion)


def _named(labels: Sequence[str]) -> str:
    return first_of(labels, _LISTED, written=repr)
