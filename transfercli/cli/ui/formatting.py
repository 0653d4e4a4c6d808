"""Sparklines: numbers drawn with characters."""

from __future__ import annotations

from collections.abc import Sequence

BARS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float], most: int = 40) -> str:
    """Return one bar per value, scaled from the lowest to the highest; of more than `most` values an even selection."""
    if not values:
        return ""
    steps = max(1, min(most, len(values)) - 1)
    chosen = [values[round(i * (len(values) - 1) / steps)] for i in range(min(most, len(values)))]
    low, span = min(chosen), max(chosen) - min(chosen)
    return "".join(BARS[round((value - low) / span * (len(BARS) - 1)) if span else 0] for value in chosen)
