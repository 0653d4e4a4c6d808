"""Notes on what the decoder did to an image beyond reading it, and their texts for people.

A note is a word of `Decoded.notes`; several are separated by spaces.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from transfercli.text import counted

CONVERTED = "profile"  # colours converted from an embedded profile to sRGB
BAD_PROFILE = "bad-profile"  # an embedded profile was not used
REDUCED = "reduced"  # a JPEG above data.max_megapixels
DAMAGED_EXTRAS = "damaged-extras"  # damaged data beside the pixels was left out
_FEW_LEVELS, _STRETCHED = "levels", "stretched"  # followed by :BITS_IN_USE/BITS


def depth_note(used: int, declared: int, *, stretched: bool) -> str:
    """Return the note on samples that use fewer bits than the file declares."""
    return f"{_STRETCHED if stretched else _FEW_LEVELS}:{used}/{declared}"


def oddities(notes: str) -> list[str]:
    """Return the texts of the notes that `data check` lists as problems of an image."""
    return [_ODDITIES[kind](detail) for kind, detail in map(_parts, notes.split()) if kind in _ODDITIES]


def summaries(images: Iterable[str]) -> list[str]:
    """Return a sentence with a count for each kind of note, given the notes of many images."""
    kinds = Counter(kind for notes in images for kind in {_parts(note)[0] for note in notes.split()})
    return [f"{counted(kinds[kind], 'image')} {text}" for kind, text in _SUMMARIES.items() if kinds[kind]]


def _parts(note: str) -> tuple[str, str]:
    kind, _, detail = note.partition(":")
    return kind, detail


def _few_levels(detail: str) -> str:
    used, declared = map(int, detail.split("/"))
    return (
        f"dark: the samples use {used} of {declared} bits ({1 << used:,} of {1 << declared:,} levels); "
        "data.levels: stretch takes the range from them"
    )


_ODDITIES = {
    BAD_PROFILE: lambda _: "colour profile: damaged or for other channels, and ignored",
    DAMAGED_EXTRAS: lambda _: "damaged extras: data beside the pixels, such as a text or a profile, is left out",
    _FEW_LEVELS: _few_levels,
}
_SUMMARIES = {
    CONVERTED: "with an embedded colour profile other than sRGB: the colours are converted to sRGB (data.profiles)",
    BAD_PROFILE: "with an embedded colour profile that is damaged or for other channels: it is ignored",
    REDUCED: "above data.max_megapixels: JPEGs are read at a smaller scale",
    DAMAGED_EXTRAS: "with damaged data beside the pixels: it is left out",
    _FEW_LEVELS: "with samples that use fewer bits than the file declares, and so are dark: see data.levels",
    _STRETCHED: "with samples that use fewer bits than the file declares: brightened by data.levels: stretch",
}
