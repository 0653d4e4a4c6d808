"""Cost model of the feature cache: time to compute features once and read them, against computing in every epoch."""

from __future__ import annotations

from dataclasses import dataclass

from transfercli.text import counted

# Rough speeds of a machine of a few cores; only their ratios matter. They are constants, not measured, so that a
# resumed run comes to the same decision.
MULTIPLICATIONS_PER_SECOND = 5e10
BYTES_READ_PER_SECOND = 1e9
BYTES_WRITTEN_PER_SECOND = 4e8


@dataclass(frozen=True)
class CachingCost:
    """Cost of a phase with and without cached features of a frozen prefix.

    multiplications: of the prefix, per image; row_bytes: of one row of features, which is one view of an image;
    images: of training and validation together; rows: of their features, all views; epochs: of the phase.
    """

    multiplications: float
    row_bytes: int
    images: int
    rows: int
    epochs: int

    @property
    def bytes(self) -> int:
        """Bytes of all rows."""
        return self.rows * self.row_bytes

    def seconds_uncached(self) -> float:
        """Return the seconds to compute the features in every epoch."""
        return self.epochs * self.images * self.multiplications / MULTIPLICATIONS_PER_SECOND

    def seconds_cached(self) -> float:
        """Return the seconds to compute and write the features once, and to read them in every epoch."""
        once = self.rows * self.multiplications / MULTIPLICATIONS_PER_SECOND + self.bytes / BYTES_WRITTEN_PER_SECOND
        return once + self.epochs * self.images * self.row_bytes / BYTES_READ_PER_SECOND


def reason_not_to_cache(cost: CachingCost, free_bytes: float, *, required: bool = False) -> str:
    """Return the reason not to cache features, or "" to cache them: if they fit and save time, or are `required`."""
    if cost.bytes > free_bytes:
        return f"they need {cost.bytes / 1e9:.1f} GB, but only {max(0.0, free_bytes) / 1e9:.1f} GB are free"
    if not required and cost.seconds_cached() >= cost.seconds_uncached():
        return f"with {counted(cost.epochs, 'epoch')}, computing and reading them saves no time"
    return ""
