"""Cost model of the feature cache: time to compute features once and read them, against computing in every epoch."""

from __future__ import annotations

from dataclasses import dataclass

from transfercli.text import counted
from transfercli.transfer.features.device_speeds import PROCESSOR, DeviceSpeeds


@dataclass(frozen=True)
class CachingCost:
    """Cost of a phase with and without cached features of a frozen prefix.

    multiplications: of the prefix, per image; row_bytes: of one row of features, which is one view of an image;
    images: of training and validation together; rows: of their features, all views; epochs: of the phase. precision:
    of the features; without them, the prefix computes in float32.
    """

    multiplications: float
    row_bytes: int
    images: int
    rows: int
    epochs: int
    precision: str = "float32"

    @property
    def bytes(self) -> int:
        """Bytes of all rows."""
        return self.rows * self.row_bytes

    def seconds_uncached(self, speeds: DeviceSpeeds = PROCESSOR) -> float:
        """Return the seconds to compute the features in every epoch."""
        return self.epochs * self.images * self.multiplications / speeds.float32

    def seconds_cached(self, speeds: DeviceSpeeds = PROCESSOR) -> float:
        """Return the seconds to compute and write the features once, and to read them in every epoch."""
        computing = self.rows * self.multiplications / speeds.multiplications(self.precision)
        return computing + self.bytes / speeds.written + self.epochs * self.images * self.row_bytes / speeds.read


def reason_not_to_cache(
    cost: CachingCost, free_bytes: float, speeds: DeviceSpeeds = PROCESSOR, *, required: bool = False
) -> str:
    """Return the reason not to cache features, or "" to cache them: if they fit and save time, or are `required`."""
    if cost.bytes > free_bytes:
        return f"they need {cost.bytes / 1e9:.1f} GB, but only {max(0.0, free_bytes) / 1e9:.1f} GB are free"
    if not required and cost.seconds_cached(speeds) >= cost.seconds_uncached(speeds):
        return f"with {counted(cost.epochs, 'epoch')}, computing and reading them saves no time"
    return ""
