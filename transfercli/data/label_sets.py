"""Label sets: labels of an image that may have several, none, or some that are unknown.

A data set of several labels an image stores each set as one text, so that files, records and comparisons of data sets
hold one value an image for either task. It is the JSON list of the labels that the image has, `["blurry", "green"]`;
or, if some are unknown, an object with the two lists `has` and `unknown`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

CLASS_NOUNS, LABEL_NOUNS = ("class", "classes"), ("label", "labels")  # words for one and for more, in messages
UNKNOWN = -1  # target of a label that is not known: it takes no part in loss or metrics


@dataclass(frozen=True, slots=True)
class LabelSet:
    """Labels of one image, each list sorted; it has none of the other labels.

    has: labels that the image has; unknown: labels that nobody has judged.
    """

    has: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    @classmethod
    def of(cls, has: Iterable[str], unknown: Iterable[str] = ()) -> LabelSet:
        """Return the set of labels in any order; a label that is given twice counts once."""
        return cls(tuple(sorted(set(has))), tuple(sorted(set(unknown))))

    @classmethod
    def read(cls, text: str) -> LabelSet:
        """Return the set that `text` stands for. Raises `ValueError` if it is none."""
        return _read(text)

    @property
    def named(self) -> tuple[str, ...]:
        """Labels that the image has, and those that are unknown."""
        return self.has + self.unknown

    @property
    def shown(self) -> str:
        """The set for a person to read: `blurry, green (unknown: sharp)`."""
        has = ", ".join(self.has) or "no label"
        return f"{has} (unknown: {', '.join(self.unknown)})" if self.unknown else has

    @property
    def text(self) -> str:
        """The text of the set; equal sets have equal texts."""
        if self.unknown:
            return json.dumps({"has": self.has, "unknown": self.unknown}, ensure_ascii=False)
        return json.dumps(self.has, ensure_ascii=False)


@lru_cache(maxsize=1 << 16)  # few images have a combination of their own
def _read(text: str) -> LabelSet:
    try:
        stored: Any = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{text[:80]!r} is no list of labels") from error
    has: Any = stored.get("has") if isinstance(stored, dict) else stored
    unknown: Any = stored.get("unknown") if isinstance(stored, dict) else []
    if not (_is_list(has) and _is_list(unknown)):
        raise ValueError(f"{text[:80]!r} is no list of labels")
    return LabelSet.of(has, unknown)


def _is_list(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(label, str) and label for label in value)


def labels_in(text: str, *, several: bool) -> tuple[str, ...]:
    """Return the labels that an image has, from the text of its record.

    several: True if the text is that of a label set; otherwise it is the one label itself.
    """
    return LabelSet.read(text).has if several else (text,)


def label_targets(
    texts: Iterable[str], labels: Sequence[str], *, leave_out_others: bool = False
) -> npt.NDArray[np.int32]:
    """Return targets int32 [N, L] of the texts of N label sets: 1 if the image has the label, 0 if not, -1 if unknown.

    Raises `KeyError` for a label that is not in `labels`, unless `leave_out_others`.
    """
    index_of = {label: index for index, label in enumerate(labels)}
    sets = [LabelSet.read(text) for text in texts]
    targets = np.zeros((len(sets), len(labels)), np.int32)
    for row, labels_of_image in enumerate(sets):
        for names, target in ((labels_of_image.unknown, UNKNOWN), (labels_of_image.has, 1)):
            chosen = [label for label in names if label in index_of] if leave_out_others else names
            targets[row, [index_of[label] for label in chosen]] = target
    return targets
