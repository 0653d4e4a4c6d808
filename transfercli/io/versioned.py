"""Version of the JSON objects that the program gives to others: results of commands, and answers of servers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FORMAT = 1  # 2 as soon as a key is removed or changes its meaning


def versioned(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return a JSON object as it is given out: `"format": 1` first."""
    return {"format": FORMAT, **content}
