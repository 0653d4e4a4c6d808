"""Images that were there on an earlier night and are gone: a mount that is missing must not pass as a change.

The number of images of each class, or of each label if an image may have several, stands in the log of decisions. A
loss is reported every night, also when nothing is trained, until the images are back or the config says with
`data.expect` what must be there: `min_images` ends the warnings about their number, and `classes` those about classes.
Images whose labels an alert asked to check may go.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from transfercli.config.dump import quoted
from transfercli.config.schema import ExpectConfig
from transfercli.data.dataset import Record
from transfercli.data.label_sets import labels_in
from transfercli.data.sources.labels import names_of_stored
from transfercli.runs.decisions import Decision
from transfercli.text import counted, first_of
from transfercli.workflows.retrain.alerts import Alert, listed_contents

SHARE = 0.1  # a smaller loss of images, with all classes still there, is not reported
IMAGES = "images"  # key of a decision's facts: class or label -> number of usable images
NUMBER = "images_in_all"  # and the number of usable images, if an image may have several labels or none
BEFORE = "images_before"  # and as it was before a loss that is still there
NUMBER_EXPECTED = "images_expected"  # True if the config had data.expect.min_images
_LISTED = 5

Content = tuple[str, str]  # SHA-256 and label of an image


@dataclass(frozen=True)
class Loss:
    """Images that are gone.

    Attributes:
        before: class -> number of images before the loss.
        now: class -> number of images now.
        most: the largest number of images of an earlier night.
        number: of images now, if an image may have several labels or none; None: the sum of `now`.
    """

    before: Mapping[str, int]
    now: Mapping[str, int]
    most: int
    number: int | None = None

    @property
    def classes(self) -> list[str]:
        """Classes without any image now."""
        return sorted(label for label, count in self.before.items() if count and not self.now.get(label))

    @property
    def new_classes(self) -> list[str]:
        """Classes that had no image before."""
        return sorted(label for label, count in self.now.items() if count and not self.before.get(label))

    @property
    def images(self) -> int:
        """Number of images that are gone, at least those of the lost classes, unless new classes may have them."""
        if self.number is not None:  # images of a lost label may be there without it
            return max(0, self.most - self.number)
        lost = sum(self.before[label] for label in self.classes) - sum(self.now[label] for label in self.new_classes)
        return max(lost, self.most - self.present, 0)

    @property
    def present(self) -> int:
        """Number of images now."""
        return sum(self.now.values()) if self.number is None else self.number

    @property
    def total(self) -> int:
        """Number of images before the loss."""
        return self.most if self.number is not None else max(self.most, sum(self.before.values()))

    @property
    def is_large(self) -> bool:
        """True if a class or more than `SHARE` of the images is gone."""
        return bool(self.classes) or self.images > SHARE * self.most

    @property
    def text(self) -> str:
        """The loss and its remedies in words."""
        kind = "classes" if self.number is None else "labels"
        parts = [f"{len(self.classes)} of {len(self.before)} {kind} ({_named(self.classes)})"] if self.classes else []
        parts += [f"{self.images} of {counted(self.total, 'image')}"] if self.images else []
        renamed = f", while {_named(self.new_classes)} came" if self.classes and self.new_classes else ""
        present = sorted(label for label, count in self.now.items() if count)
        names = f"[{', '.join(map(quoted, present))}]" if len(present) <= _LISTED else str(len(present))
        return (
            f"{' and '.join(parts)} are gone that were there on an earlier night{renamed}: bring them back, or set"
            f" data.expect: {{min_images: {self.present}, classes: {names}}} if this is right"
        )

    def as_json(self) -> dict[str, Any]:
        return {"classes": self.classes, "images": self.images, "before": self.total}


def image_counts(records: Iterable[Record], *, several: bool = False) -> dict[str, int]:
    """Return class -> number of usable images; several: an image may have several labels, and counts for each."""
    texts = (record.label for record in _usable(records))
    return dict(sorted(Counter(label for text in texts for label in labels_in(text, several=several)).items()))


def number_in_all(records: Iterable[Record]) -> int:
    """Return the number of usable images."""
    return sum(1 for _ in _usable(records))


def _usable(records: Iterable[Record]) -> Iterator[Record]:
    return (record for record in records if record.split and not record.problem)


def find_loss(
    expected: ExpectConfig | None,
    records: Iterable[Record],
    log: Sequence[Decision],
    champion: Sequence[Record],
    *,
    several: bool = False,
) -> Loss | None:
    """Return the images that are gone since an earlier night; None if they are few, or as `data.expect` says.

    records: the current images; champion: those of the champion; several: an image may have several labels.
    """
    records = list(records)
    contents = {(record.sha256, record.label) for record in records}
    now, number = image_counts(records, several=several), number_in_all(records)
    named = expected is not None and expected.classes is not None
    before = now if named else counts_before(log, champion, contents, several=several)
    most = number if expects_number(expected) else most_before(log, champion, contents)
    loss = Loss(before, now, most, number if several else None)
    return loss if loss.is_large else None


def expects_number(expected: ExpectConfig | None) -> bool:
    """Return True if the config says how many images there must be."""
    return expected is not None and expected.min_images is not None


def lost_images_alert(loss: Loss | None) -> Alert | None:
    """Return the alert about images that are gone."""
    return Alert("images_lost", loss.text, loss.as_json()) if loss else None


def counts_before(
    log: Sequence[Decision], champion: Iterable[Record], contents: Set[Content], *, several: bool = False
) -> dict[str, int]:
    """Return class -> number of images on the last night, or before a loss that was reported then.

    Images that an alert of that night listed, and that are gone or have another label, are not counted.

    champion: records of the champion, for an experiment without such a night; contents: of the current images.
    """
    for decision in reversed(log):
        if counts := _logged(decision, BEFORE):
            return counts
        if counts := _logged(decision, IMAGES):
            texts = (text for _, text in listed_contents(decision) - contents)
            mended = Counter(label for text in texts for label in labels_in(text, several=several))
            return {label: max(0, count - mended[label]) for label, count in counts.items()}
    return image_counts(champion, several=several)


def most_before(log: Sequence[Decision], champion: Iterable[Record], contents: Set[Content]) -> int:
    """Return the largest number of images of a night, or of the champion, since the config last said the number.

    Not only of the last night: many small losses in a row add up. Images that an alert of the night listed, and that
    are gone, are not counted; those with another label are still there.

    champion: its records; contents: of the current images.
    """
    files = {sha256 for sha256, _ in contents}
    most, listed = 0, set()
    for decision in reversed(log):
        of_night = {sha256 for sha256, _ in listed_contents(decision)}
        listed |= of_night
        most = max(most, _logged_number(decision) - len(of_night - files))
        if decision.facts.get(NUMBER_EXPECTED):
            return most
    kept = (record for record in champion if record.sha256 not in listed - files)
    return max(most, number_in_all(kept))


def _logged_number(decision: Decision) -> int:
    """Return the number of images of a decision; 0 if it has none or is damaged."""
    number = decision.facts.get(NUMBER)
    return number if type(number) is int else sum(_logged(decision, IMAGES).values())


def _logged(decision: Decision, key: str) -> dict[str, int]:
    """Return class -> number of images of a decision, with normalised names; empty if it has none or is damaged."""
    counts = decision.facts.get(key)
    if not isinstance(counts, dict) or not all(type(count) is int for count in counts.values()):
        return {}
    names = names_of_stored(counts)
    return {names[label]: count for label, count in counts.items()}


def _named(labels: Sequence[str]) -> str:
    return first_of(labels, _LISTED, written=repr)
