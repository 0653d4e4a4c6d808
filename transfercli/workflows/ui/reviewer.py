"""Name of a reviewer, which stands beside each decision on a label."""

from __future__ import annotations

from transfercli.errors import UsageError

MOST_NAME = 100  # characters


def checked_reviewer(name: str) -> str:
    """Return the name of a reviewer. Raises `UsageError` if it is not one line of text."""
    if len(name) > MOST_NAME or not (name.isprintable() or not name):
        raise UsageError(f"the name of a reviewer is one line of at most {MOST_NAME} characters", "such as Ann")
    return name.strip()
