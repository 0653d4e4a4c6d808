"""Choice of runs for a page: those that its address names, and those that its fields offer."""

from __future__ import annotations

from starlette.datastructures import QueryParams

OFFERED = 500  # runs in the list of a field
LIVE_SECONDS = 3  # between two looks at runs that train


def named_runs(query: QueryParams, most: int) -> list[str]:
    """Return the first different runs that an address names, at most `most`."""
    return list(dict.fromkeys(text.strip() for text in query.getlist("run") if text.strip()))[:most]
