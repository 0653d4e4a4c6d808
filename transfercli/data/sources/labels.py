"""Class names: one form for each, and names that a person cannot tell apart.

Spaces around a name are stripped and Unicode is normalised to NFC, because file systems and editors change both: macOS
stores `é` as two characters, Windows drops a space at the end of a name.
"""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable

# Cyrillic and Greek letters with the shape of a Latin one (from Unicode Technical Standard 39, confusables).
_CYRILLIC_SMALL = str.maketrans(
    "\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0456\u0458\u0455\u04bb\u0501\u051b\u051d", "aeopcyxijshdqw"
)
_CYRILLIC_CAPITAL = str.maketrans(
    "\u0410\u0412\u0415\u041a\u041c\u041d\u041e\u0420\u0421\u0422\u0423\u0425\u0406\u0408\u0405", "ABEKMHOPCTYXIJS"
)
_GREEK = str.maketrans(
    "\u03bf\u03bd\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7",
    "ovABEZHIKMNOPTYX",
)
_HOMOGLYPHS = _CYRILLIC_SMALL | _CYRILLIC_CAPITAL | _GREEK


def normalised_label(name: str) -> str:
    """Return a class name without surrounding spaces, in Unicode's form NFC."""
    return unicodedata.normalize("NFC", name.strip())


def names_of_stored(labels: Iterable[str]) -> dict[str, str]:
    """Return stored class name -> normalised name; names that would become equal stay as they are stored.

    Runs of earlier versions stored the names of folders and tables unchanged.
    """
    stored = dict.fromkeys(labels)
    numbers = Counter(map(normalised_label, stored))
    return {label: name if (name := normalised_label(label)) and numbers[name] == 1 else label for label in stored}


def find_label(name: str, labels: Collection[str]) -> str | None:
    """Return the class that a config or a command names: by its exact name, else by the normalised one; or None."""
    return next((label for label in (name, normalised_label(name)) if label in labels), None)


def look_alikes(labels: Iterable[str]) -> list[list[str]]:
    """Return the groups of class names that differ in case, spaces or the characters behind equal glyphs only."""
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for label in sorted(set(labels)):
        groups[_folded(label)].append(label)
    return [group for group in groups.values() if len(group) > 1]


def shown(label: str, others: Iterable[str]) -> str:
    """Return a quoted class name, with its code points if one of `others` is displayed the same."""
    if not any(other != label and _glyphs(other) == _glyphs(label) for other in others):
        return repr(label)
    return f"'{label}' ({' '.join(f'U+{ord(character):04X}' for character in label)})"


def _glyphs(label: str) -> str:
    """Return equal text for names that are displayed the same."""
    visible = "".join(c for c in unicodedata.normalize("NFKC", label) if unicodedata.category(c) != "Cf")
    return " ".join(visible.translate(_HOMOGLYPHS).split())


def _folded(label: str) -> str:
    return _glyphs(label).casefold()
