"""Error of a file that cannot be used as an image."""

from __future__ import annotations


class UnusableError(Exception):
    """Raised if a file cannot be used; the message is shown to the user."""
