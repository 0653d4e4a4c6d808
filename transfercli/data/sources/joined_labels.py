"""Class names that look like several labels joined by a separator, such as `green;blurry`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

# In class names, these are rare except between labels; a comma also stands in names such as `Paris, France`.
LABEL_SEPARATORS = (";", "|", ",")
_NEARLY_ALL = 0.9  # of the images


@dataclass(frozen=True, slots=True)
class JoinedLabels:
    """Class names that look like several labels each.

    names: sorted; images: number of images that have one of them.
    """

    separator: str
    names: tuple[str, ...]
    images: int

    @property
    def setting(self) -> str:
        """The line of a config that reads them as several labels."""
        return f'data.label_separator: "{self.separator}"'


def find_joined(counts: Mapping[str, int]) -> JoinedLabels | None:
    """Return the class names that look like several labels, or None.

    They do if a part of one is a class of its own, as `red;blurry` beside `red`. They also do if nearly all images have
    such a name and it is no ordinary text: it has a semicolon, a bar or a comma without a space, or two of its parts
    are in other names as well, as in `red, blurry`, `red, sharp`, `green, blurry`. `Paris, France` and `Lyon, France`
    share one part only.

    counts: class -> number of its images. Images under "" have no label; as only images with several labels may lack
    one, names need not be nearly all then.
    """
    for separator in (*LABEL_SEPARATORS, " "):
        parts = {name: found for name in counts if len(found := _parts(name, separator)) > 1}
        if separator == " ":
            joined = [*parts] if _nearly_all(parts, counts) and _few_words(parts) else []
        elif beside := [name for name, found in parts.items() if any(part in counts for part in found)]:
            joined = beside
        else:
            joined = [*parts] if _nearly_all(parts, counts) and _is_no_text(parts, separator) else []
        if joined:
            return JoinedLabels(separator, tuple(sorted(joined)), sum(counts[name] for name in joined))
    return None


def holding_separator(counts: Mapping[str, int]) -> JoinedLabels | None:
    """Return the class names that hold one of `LABEL_SEPARATORS`, the one that most images have; None if none does."""
    found = [
        JoinedLabels(separator, tuple(sorted(names)), sum(counts[name] for name in names))
        for separator in LABEL_SEPARATORS
        if (names := [name for name in counts if len(_parts(name, separator)) > 1])
    ]
    return max(found, key=lambda joined: joined.images, default=None)


def _parts(name: str, separator: str) -> list[str]:
    return [part for piece in name.split(separator) if (part := piece.strip())]


def _nearly_all(parts: Mapping[str, list[str]], counts: Mapping[str, int]) -> bool:
    enough = "" in counts or sum(counts[name] for name in parts) >= _NEARLY_ALL * sum(counts.values())
    return len(parts) > 1 and enough


def _is_no_text(parts: Mapping[str, list[str]], separator: str) -> bool:
    """Return True if most names are written as no text is, or at least two parts of them are in other names as well."""
    names_of = Counter(part for found in parts.values() for part in {*found})
    telling = 0
    for name, found in parts.items():
        shared = sum(names_of[part] > 1 for part in found) > 1
        unlike_text = separator != "," or ", " not in name
        number = all(part.isdigit() for part in found)  # 1,5 may be one number
        telling += shared or (unlike_text and not number)
    return 2 * telling >= len(parts)


def _few_words(parts: Mapping[str, list[str]]) -> bool:
    """Return True if the names are combinations of few words, as tags are and class names such as `hot dog` are not."""
    words = {word for found in parts.values() for word in found}
    return len(words) > 1 and 2 * len(words) <= len(parts)
