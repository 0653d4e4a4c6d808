"""The promotion rule: the decision if a challenger replaces the champion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from transfercli.evaluation.scoring import Predicted
from transfercli.evaluation.statistics.alpha_spending import NightLimit, comparisons_text
from transfercli.evaluation.statistics.paired import Comparison, Outcome, compare
from transfercli.text import in_groups

CLASS_METRIC = "recall"


@dataclass(frozen=True)
class Verdict:
    """The decision about a challenger, and its reason in words."""

    decision: Literal["first", "promoted", "kept", "rejected"]
    reason: str


def compare_for_promotion(
    champion: Predicted, challenger: Predicted, metric: str, confidence: float, seed: int
) -> Comparison:
    """Compare with an interval whose ends are one-sided bounds at `confidence`, as the decision is one-sided."""
    return compare(champion, challenger, metric=metric, confidence=max(0.0, 2 * confidence - 1), seed=seed)


def decide_promotion(
    compared: Comparison | None,
    failed: Sequence[str],
    min_gain: float,
    limit: NightLimit | None = None,
    p_value: float = 0.0,
) -> Verdict:
    """Apply the rule of `retrain`.

    A gain must be significant and at least `min_gain`, and its p-value at most the night's level; a loss rejects only
    if it is significant. `Comparison.outcome` defines significance.

    compared: None without a champion; failed: a description of each gate that is not met; limit: of the night, None if
    every night counts alone; p_value: of the gain, one-sided and exact.
    """
    if failed:
        return Verdict("rejected", f"not met: {'; '.join(failed)}")
    if compared is None:
        return Verdict("first", "there was no champion")
    gain, interval, decisive = compared.gain(), compared.gain_interval(), compared.decisive
    if gain is None or (interval is None and gain == 0):
        return Verdict(
            "kept",
            f"{compared.metric} of the two models differs in no resample of {compared.examples} test images"
            f"{in_groups(compared.groups)}",
        )
    low, high = interval or (gain, gain)
    direction: Outcome = "better" if low > 0 else "worse"
    exact = compared.exact_p_value(direction)
    bounds = f"{low:+.4f} to {high:+.4f}" if interval else "the same in every resample"
    if exact is not None:
        bounds += f"; exact one-sided p-value {exact:.2g}"
    numbers = (
        f"{compared.metric} {decisive.challenger:.4f} against {decisive.champion:.4f} on {compared.examples} test"
        f" images{in_groups(compared.groups)}, gain {gain:+.4f} ({bounds})"
    )
    outcome = compared.outcome(compared.metric)
    if not compared.confirmed_by_exact_test(direction):
        return Verdict("kept", f"no significant difference: {numbers}, above {compared.significance:.2g}")
    if outcome == "no difference" and (low > 0 or high < 0):
        share = compared.swap_p_value(direction)
        swaps = f"{share:.1%} of random swaps of the two models' predictions give at least this difference"
        return Verdict("kept", f"no significant difference: {numbers}; {swaps}")
    if outcome == "worse":
        return Verdict("rejected", f"significantly worse: {numbers}")
    if outcome == "better" and gain >= min_gain and limit is not None and p_value > limit.level:
        return Verdict("kept", f"not significant over all nights: {numbers}; {_beyond(limit, p_value)}")
    if outcome == "better" and gain >= min_gain:
        return Verdict("promoted", f"significantly better: {numbers}")
    if outcome == "better":
        return Verdict("kept", f"better, but by less than min_gain {min_gain:g}: {numbers}")
    power = f"; this many images detect a true gain of {decisive.detectable:.4f} in 80% of cases"
    return Verdict("kept", f"no significant gain: {numbers}{power if decisive.detectable else ''}")


def _beyond(limit: NightLimit, p_value: float) -> str:
    """Return the reason, in words, for which a gain of this p-value is not enough."""
    left = limit.left_after(promoted=False) / limit.budget
    return (
        f"its p-value {p_value:.2g} is above {limit.level:.2g}, tonight's part of the {limit.budget:.2g} that all"
        f" nights with these test images share ({left:.0%} is left; the images have decided"
        f" {comparisons_text(limit.asked)})"
    )


def comparison_record(compared: Comparison) -> dict[str, Any]:
    """Return the `comparison` of a decision: the decisive metric, the recall of each class, the disagreements."""
    decisive, interval = compared.decisive, compared.gain_interval()
    prefix = f"{CLASS_METRIC}["
    recalls = {name[len(prefix) : -1]: recall for name, recall in compared.metrics.items() if name.startswith(prefix)}
    return {
        "metric": compared.metric,
        "champion": decisive.champion,
        "challenger": decisive.challenger,
        "gain": compared.gain(),
        "interval": list(interval) if interval else None,
        "detectable": decisive.detectable,
        "images": compared.examples,
        "groups": compared.groups,
        "p_value": compared.p_value,
        "by_chance": compared.by_chance,
        "fixed": len(compared.fixed),
        "broken": len(compared.broken),
        "per_class": [
            {"label": label, "champion": recall.champion, "challenger": recall.challenger}
            for label, recall in recalls.items()
        ],
    }
