"""Whether it pays to keep what a frozen prefix gives, instead of computing it in every epoch."""

from __future__ import annotations

from dataclasses import dataclass

from transfercli.text import counted

# What a machine of a few cores does in a second, roughly; only their proportions matter. The rule has to give the same
# answer whenever a run is started again, so it counts and does not measure.
MULTIPLICATIONS_A_SECOND = 5e10
BYTES_READ_A_SECOND = 1e9
BYTES_WRITTEN_A_SECOND = 4e8


@dataclass(frozen=True)
class Boundary:
    """What is known of a cut before anything is computed.

    multiplications: of the prefix, an image; row_bytes: of its features, an image;
    images: of training and validation together; rows: of their features, views included; epochs: of the phase.
    """

    multiplications: float
    row_bytes: int
    images: int
    rows: int
    epochs: int

    @property
    def bytes(self) -> int:
        return self.rows * self.row_bytes

    def seconds_uncached(self) -> float:
        return self.epochs * self.images * self.multiplications / MULTIPLICATIONS_A_SECOND

    def seconds_cached(self) -> float:
        once = self.rows * self.multiplications / MULTIPLICATIONS_A_SECOND + self.bytes / BYTES_WRITTEN_A_SECOND
        return once + self.epochs * self.images * self.row_bytes / BYTES_READ_A_SECOND


def why_not(boundary: Boundary, free_bytes: float, *, required: bool = False) -> str:
    """Why features are not kept, "" where they are: there must be room, and unless `required` it must be cheaper."""
    if boundary.bytes > free_bytes:
        return f"they need {boundary.bytes / 1e9:.1f} GB, and there is room for {max(0.0, free_bytes) / 1e9:.1f} GB"
    if not required and boundary.seconds_cached() >= boundary.seconds_uncached():
        return f"{counted(boundary.epochs, 'epoch')} would not pay for computing and reading them"
    return ""
