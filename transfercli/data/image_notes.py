"""Notes on what the decoder did to an image beyond reading it, and their texts for people.

A note is a word of `Decoded.notes`; several are separated by spaces.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable

from transfercli.reporting import Reporter
from transfercli.text import counted

CONVERTED = "profile"  # colours converted from an embedded profile to sRGB
BAD_PROFILE = "bad-profile"  # an embedded profile was not used
REDUCED = "reduced"  # a JPEG above data.max_megapixels
DAMAGED_EXTRAS = "damaged-extras"  # damaged data beside the pixels was left out
OF_TRAINING = frozenset({"profiles", "max_megapixels"})  # chosen by the training, for those who use its model
FEW_LEVELS, STRETCHED = "levels", "stretched"  # followed by :BITS_IN_USE/BITS


def depth_note(used: int, declared: int, *, stretched: bool) -> str:
    """Return the note on samples that use fewer bits than the file declares."""
    return f"{STRETCHED if stretched else FEW_LEVELS}:{used}/{declared}"


def oddities(notes: str) -> list[str]:
    """Return the texts of the notes that `data check` lists as problems of an image."""
    return [_ODDITIES[kind](detail) for kind, detail in map(_parts, notes.split()) if kind in _ODDITIES]


def count_notes(images: Iterable[str]) -> Counter[str]:
    """Return the number of images with each kind of note, given the notes of each image."""
    return Counter(_parts(note)[0] for notes in images for note in notes.split())


def report_notes(counts: Counter[str], chosen: Collection[str], reporter: Reporter) -> None:
    """Report each kind of note with its count: as a warning, or as information if the config chose the policy.

    chosen: keys of the section `data` that the config sets.
    """
    for kind, (text, key) in _SUMMARIES.items():
        if counts[kind]:
            (reporter.info if key in chosen else reporter.warning)(f"{counted(counts[kind], 'image')} {text}")


def _parts(note: str) -> tuple[str, str]:
    kind, _, detail = note.partition(":")
    return kind, detail


def _few_levels(detail: str) -> str:
    used, declared = map(int, detail.split("/"))
    return (
        f"levels: the samples use {used} of {declared} bits ({1 << used:,} of {1 << declared:,} levels); "
        "data.levels: stretch takes the range from them"
    )


_ODDITIES = {
    BAD_PROFILE: lambda _: "colour profile: damaged or for other channels, and ignored",
    DAMAGED_EXTRAS: lambda _: "damaged extras: data beside the pixels, such as a text or a profile, is left out",
    FEW_LEVELS: _few_levels,
}
# Kind of note -> its text, and the key of the section `data` that decides on it.
_SUMMARIES = {
    CONVERTED: ("with a colour profile other than sRGB: the colours are converted (data.profiles)", "profiles"),
    BAD_PROFILE: ("with a colour profile that is damaged or for other channels: the profile is ignored", ""),
    REDUCED: ("above data.max_megapixels: these JPEGs are read at 1/2, 1/4 or 1/8 of their size", "max_megapixels"),
    DAMAGED_EXTRAS: ("with damaged data beside the pixels: it is left out", ""),
    FEW_LEVELS: (
        "with 16-bit samples that use few of the 65,536 levels, and so are dark: data.levels: stretch brightens them",
        "levels",
    ),
    STRETCHED: ("with 16-bit samples that use few of the 65,536 levels: stretched (data.levels)", "levels"),
}
