"""Whether a challenger takes the champion's place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol


class Compared(Protocol):
    """What a decision needs of a comparison on the same images; gains count upwards for the better.

    gain: of the challenger over the champion; low, high: ends of its interval, each exceeded with `confidence`;
    detectable: the true gain that this many images would have shown four times in five.
    """

    metric: str
    champion: float
    challenger: float
    gain: float
    low: float
    high: float
    images: int
    detectable: float


@dataclass(frozen=True)
class Verdict:
    decision: Literal["first", "promoted", "kept", "rejected"]
    reason: str


def judge(compared: Compared | None, failed: Sequence[str], min_gain: float) -> Verdict:
    """The rule of `retrain`.

    compared: with the champion, None where there is none. failed: every gate that the challenger does not meet, told.
    A gain must be significant, and as large as `min_gain`; a loss rejects only where it is significant.
    """
    if failed:
        return Verdict("rejected", f"not met: {'; '.join(failed)}")
    if compared is None:
        return Verdict("first", "there was no champion")
    told = (
        f"{compared.metric} {compared.challenger:.4f} against {compared.champion:.4f} on {compared.images} test images,"
        f" gain {compared.gain:+.4f} ({compared.low:+.4f} to {compared.high:+.4f})"
    )
    if compared.high < 0:
        return Verdict("rejected", f"significantly worse: {told}")
    if compared.low > 0 and compared.gain >= min_gain:
        return Verdict("promoted", f"significantly better: {told}")
    if compared.low > 0:
        return Verdict("kept", f"better, but by less than min_gain {min_gain:g}: {told}")
    seen = f"a true gain of {compared.detectable:.4f} would have shown four times in five"
    return Verdict("kept", f"no significant gain: {told}; with so many images {seen}")
