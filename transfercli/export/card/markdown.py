"""Escaping of untrusted names in Markdown."""

from __future__ import annotations

import re
import unicodedata

MARKS = "\\`*_[]<>|#~&"
# Text that GitHub's Markdown turns into a link on its own.
BARE = re.compile(r"(?i)(www|https?|ftp|mailto|xmpp)([.:])")


def one_line(text: str) -> str:
    """Return the text with each line end replaced by a space, and other control characters by U+FFFD."""
    return "".join(_printable(letter) for letter in text)


def escaped(text: str) -> str:
    """Return the text as one line without Markdown: no table, link, tag or heading."""
    marked = "".join(f"\\{letter}" if letter in MARKS else letter for letter in one_line(text))
    return BARE.sub(lambda match: f"{match[1]}\\{match[2]}", marked)


def code(text: str) -> str:
    """Return the text as one line of inline code, with backticks replaced by apostrophes."""
    return f"`{one_line(text).replace('`', chr(39))}`"


def _printable(letter: str) -> str:
    if letter in "\r\n\t\u2028\u2029":
        return " "
    return "\ufffd" if unicodedata.category(letter)[0] == "C" else letter
