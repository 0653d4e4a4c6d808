"""Text formatting: counts, lists, sizes, durations, spelling suggestions, and untrusted text made safe to print."""

from __future__ import annotations

import difflib
import re
import textwrap
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def first_of(words: Sequence[str], most: int, *, written: Callable[[str], str] = str) -> str:
    """Return `a, b and 3 more`: the first `most` words, each as `written` gives it, and the number left out."""
    rest = f" and {len(words) - most} more" if len(words) > most else ""
    return ", ".join(map(written, words[:most])) + rest


def did_you_mean(name: str, allowed: Sequence[str], *, written: Callable[[str], str] = repr) -> str:
    """Return `did you mean 'resnet50'?` for the allowed name that is spelled most alike, or ""."""
    near = nearest(name, allowed)
    return f"did you mean {written(near)}?" if near else ""


def clipped(value: Any, most: int = 80) -> str:
    """Return the first characters of a value's `repr`, for a message about a damaged file."""
    return repr(value)[:most]


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, at most 300 characters; the name of its class without one."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """Return `1 image` or `2 images`; plural: of a noun that takes more than an s."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def in_groups(number: int | None) -> str:
    """Return ` in 20 groups`, to follow a number of images; "" if no image has a group."""
    return "" if number is None else f" in {counted(number, 'group')}"


def images_per_split(images: Mapping[str, int], groups: Mapping[str, int] | None) -> str:
    """Return `612 train in 20 groups, 107 validation in 4 groups`, without groups if there are none."""
    return ", ".join(f"{count} {split}{in_groups((groups or {}).get(split))}" for split, count in images.items())


def nearest(name: str, allowed: Sequence[str]) -> str | None:
    """Return the allowed name that is spelled most alike, in any case, or None."""
    folded = {word.casefold(): word for word in reversed(allowed)}
    short = name.casefold()
    if len(short) >= 3 and (longer := [word for word in folded if word.startswith(short)]):
        return folded[longer[-1]]
    matches = difflib.get_close_matches(name[:100].casefold(), folded, n=1, cutoff=0.6)
    return folded[matches[0]] if matches else None


_HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def printable(text: str) -> str:
    r"""Return text whose control and formatting characters, except newlines, are escapes such as `\x1b`."""
    return "".join(c if c == "\n" or unicodedata.category(c) not in _HIDDEN else _escape(c) for c in text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


_COLOURS = re.compile(r"\x1b\[[0-9;:?]*[ -/]*[@-~]")


def without_colours(text: str) -> str:
    """Return text without the ANSI codes that libraries put into their error messages."""
    return _COLOURS.sub("", text)


def shortened(text: str, most: int) -> str:
    """Return at most `most` characters; the last is "…" if some are left out."""
    return text if len(text) <= most else text[: most - 1] + "…"


def wrapped(text: str, width: int) -> str:
    """Return text whose lines are broken at spaces into at most `width` characters.

    Longer words, such as paths, stay whole, and so does a line with a command, which users copy.
    """
    lines = []
    for line in text.split("\n"):
        indent = line[: len(line) - len(line.lstrip())]
        whole = len(line) <= width or _COMMAND.search(line)
        broken = textwrap.wrap(
            line, max(width, 1), subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
        )
        lines += [line] if whole else broken
    return "\n".join(lines)


_COMMAND = re.compile(r"\btransfercli [a-z]|^cp -")


def squeezed(text: str, most: int) -> str:
    """Return at most `most` characters of both ends with "…" between: a path keeps its folder and its file's end."""
    if len(text) <= most:
        return text
    head, tail = most // 2, (most - 1) // 2
    return f"{text[:head]}…{text[len(text) - tail :]}"


def duration(seconds: float) -> str:
    """Return `42 s`, `3:05 min` or `2:10 h`."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d} min"
    return f"{whole // 3600}:{whole % 3600 // 60:02d} h"


def byte_size(count: int) -> str:
    """Return `812 B`, `3.4 MB` or `12.0 GB`."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} B"


def decimal(value: float | None, sign: str = "") -> str:
    """Return a metric for a person, with four decimals; `not defined` for None. sign: "+" to show that of a gain."""
    return "not defined" if value is None else f"{value:{sign}.4f}"
