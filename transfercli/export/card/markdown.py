"""Names from elsewhere in Markdown: they stay text."""

from __future__ import annotations

import re
import unicodedata

MARKS = "\\`*_[]<>|#~&"
# What GitHub's Markdown makes a link of without being asked to.
BARE = re.compile(r"(?i)(www|https?|ftp|mailto|xmpp)([.:])")


def one_line(text: str) -> str:
    """The same with a space for each end of a line, and U+FFFD for other control characters."""
    return "".join(_printable(letter) for letter in text)


def escaped(text: str) -> str:
    """One line in which nothing is a table, a link, a tag or a heading."""
    marked = "".join(f"\\{letter}" if letter in MARKS else letter for letter in one_line(text))
    return BARE.sub(lambda found: f"{found[1]}\\{found[2]}", marked)


def code(text: str) -> str:
    """One line of code, which no backtick ends early."""
    return f"`{one_line(text).replace('`', chr(39))}`"


def _printable(letter: str) -> str:
    if letter in "\r\n\t\u2028\u2029":
        return " "
    return "\ufffd" if unicodedata.category(letter)[0] == "C" else letter
