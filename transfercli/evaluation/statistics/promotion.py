"""Whether a challenger takes the champion's place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from transfercli.evaluation.predictions import Predictions
from transfercli.evaluation.statistics.paired import Comparison, compare

CLASS_METRIC = "recall"


@dataclass(frozen=True)
class Verdict:
    decision: Literal["first", "promoted", "kept", "rejected"]
    reason: str


def contest(champion: Predictions, challenger: Predictions, metric: str, confidence: float, seed: int) -> Comparison:
    """Compare with an interval each end of which is exceeded with `confidence`: a decision is a one-sided question."""
    return compare(champion, challenger, metric=metric, confidence=max(0.0, 2 * confidence - 1), seed=seed)


def judge(compared: Comparison | None, failed: Sequence[str], min_gain: float) -> Verdict:
    """The rule of `retrain`.

    compared: with the champion, None where there is none. failed: every gate that the challenger does not meet, told.
    A gain must be significant, and as large as `min_gain`; a loss rejects only where it is significant.
    What is significant: see `Comparison.says`.
    """
    if failed:
        return Verdict("rejected", f"not met: {'; '.join(failed)}")
    if compared is None:
        return Verdict("first", "there was no champion")
    gain, interval, found = compared.gain(), compared.gain_interval(), compared.decisive
    if gain is None or interval is None:
        return Verdict(
            "kept", f"{compared.metric} tells the two apart in no resample of {compared.examples} test images"
        )
    low, high = interval
    told = (
        f"{compared.metric} {found.challenger:.4f} against {found.champion:.4f} on {compared.examples} test images,"
        f" gain {gain:+.4f} ({low:+.4f} to {high:+.4f})"
    )
    says = compared.says(compared.metric)
    if says == "no difference" and (low > 0 or high < 0):
        as_much = compared.as_much_by_chance("better" if low > 0 else "worse")
        swaps = f"{as_much:.1%} of random swaps of the two models' answers give as much"
        return Verdict("kept", f"no significant difference: {told}; {swaps}")
    if says == "worse":
        return Verdict("rejected", f"significantly worse: {told}")
    if says == "better" and gain >= min_gain:
        return Verdict("promoted", f"significantly better: {told}")
    if says == "better":
        return Verdict("kept", f"better, but by less than min_gain {min_gain:g}: {told}")
    seen = f"; so many images would show a true gain of {found.detectable:.4f} four times in five"
    return Verdict("kept", f"no significant gain: {told}{seen if found.detectable else ''}")


def as_told(compared: Comparison) -> dict[str, Any]:
    """The `comparison` of a decision: the metric that decides, each class, and how many images tell the two apart."""
    found, interval = compared.decisive, compared.gain_interval()
    prefix = f"{CLASS_METRIC}["
    classes = {name[len(prefix) : -1]: one for name, one in compared.metrics.items() if name.startswith(prefix)}
    return {
        "metric": compared.metric,
        "champion": found.champion,
        "challenger": found.challenger,
        "gain": compared.gain(),
        "interval": list(interval) if interval else None,
        "detectable": found.detectable,
        "images": compared.examples,
        "p_value": compared.p_value,
        "by_chance": compared.by_chance,
        "fixed": len(compared.fixed),
        "broken": len(compared.broken),
        "per_class": [
            {"label": label, "champion": one.champion, "challenger": one.challenger} for label, one in classes.items()
        ],
    }
