"""`runs compare --report FILE`: one offline file that answers, in this order: is it better, in what, and where."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from transfercli.evaluation.examples import SHOWN, Change
from transfercli.evaluation.metrics.confusion import PER_CLASS
from transfercli.evaluation.metrics.registry import METRICS
from transfercli.evaluation.predictions import Predictions
from transfercli.evaluation.report.charts import nice_ticks
from transfercli.evaluation.report.html import environment, script
from transfercli.evaluation.statistics.paired import Comparison, Difference, Outcome, metric_sign
from transfercli.redaction import hide_paths_in

PICTURES = 400  # in one page, shared out over its galleries


@dataclass(frozen=True, slots=True, kw_only=True)
class RunComparison:
    """One challenger held against the champion, both told by their labels.

    before, after: the predictions of champion and challenger that were compared
    fixed, broken: of the images that tell the two apart, those to show
    pictures: `data:` addresses by path; lost: why there is none, by path
    config, seconds, only_known: as `runs compare` gives them
    """

    champion: str
    challenger: str
    compared: Comparison
    before: Predictions
    after: Predictions
    fixed: Sequence[Change]
    broken: Sequence[Change]
    pictures: Mapping[str, str]
    lost: Mapping[str, str]
    config: Sequence[Mapping[str, Any]]
    seconds: Mapping[str, Mapping[str, float | None]]
    only_known: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Bar:
    """A difference around 0, in percent of a bar's width, 50 in the middle: more is better, whatever the metric."""

    at: float
    left: float
    width: float


@dataclass(frozen=True, slots=True)
class Row:
    """A metric's line in a table."""

    name: str
    found: Difference
    outcome: Outcome
    bar: Bar | None


def gallery_size(challengers: int) -> int:
    """How many images each gallery of a page may have: two for each challenger share `PICTURES`."""
    return max(SHOWN, PICTURES // (2 * challengers))


def render_comparisons(duels: Sequence[RunComparison], split: str, reproduce: str) -> str:
    """The whole page. reproduce: the command line that made it."""
    code, policy = script("report.js")
    return (
        environment()
        .get_template("compare.html.j2")
        .render(
            duels=[_told(duel, f"-{n}" * (len(duels) > 1)) for n, duel in enumerate(duels, 1)],
            champion=duels[0].champion,
            split=split,
            reproduce=reproduce,
            metrics=METRICS,
            at_once=SHOWN,
            script=code,
            policy=policy,
        )
    )


def _told(duel: RunComparison, suffix: str) -> dict[str, Any]:
    """What the template writes about a duel, beside what it holds; suffix: of the names of its sections."""
    bounded = [name for name in METRICS if math.isfinite(METRICS[name].bounds.high)]
    scale = scale_of(duel.compared, bounded)
    scales = {name: scale if name in bounded else scale_of(duel.compared, [name]) for name in METRICS}
    recalls = [f"recall[{label}]" for label in duel.before.labels]
    class_scale = scale_of(duel.compared, recalls)
    return {
        "duel": duel,
        "suffix": suffix,
        "decisive": METRICS[duel.compared.metric],
        "scale": scale,
        "rows": [row_of(duel.compared, name, scales[name]) for name in METRICS],
        "class_scale": class_scale,
        "classes": _classes(duel, class_scale),
        "agreement": _agreement(duel),
        "config": [{key: _plain(value) for key, value in line.items()} for line in duel.config],
    }


def scale_of(compared: Comparison, names: Iterable[str]) -> float:
    """The round number that no end of the intervals of `names` lies beyond, on either side of 0."""
    ends = [abs(end) for name in names for end in _ends(compared.metrics[name])]
    return nice_ticks(0.0, max(ends, default=0.0))[-1]


def row_of(compared: Comparison, name: str, scale: float) -> Row:
    """A metric's line; its bar reaches from -scale to +scale."""
    found, sign = compared.metrics[name], metric_sign(name)
    places = [50 + 50 * sign * end / scale for end in _ends(found)]
    bar = Bar(places[0], min(places), max(places) - min(places)) if places else None
    return Row(name, found, compared.outcome(name), bar)


def _ends(found: Difference) -> list[float]:
    """The difference and its interval, as far as they are defined."""
    return [] if found.difference is None else [found.difference, *(found.interval or ())]


def _classes(duel: RunComparison, scale: float) -> list[dict[str, Any]]:
    """A line a class: its images, and the differences of its precision, recall and F1."""
    truths = [duel.before.labels[target] for target in duel.before.targets]
    return [
        {
            "label": label,
            "images": truths.count(label),
            **{name: row_of(duel.compared, f"{name}[{label}]", scale) for name in PER_CLASS},
        }
        for label in duel.before.labels
    ]


def _agreement(duel: RunComparison) -> dict[str, int]:
    """Images that both have right, and that both have wrong."""
    right = [one.predicted == one.targets for one in (duel.before, duel.after)]
    return {"right": int((right[0] & right[1]).sum()), "wrong": int((~right[0] & ~right[1]).sum())}


def _plain(value: Any) -> str:
    """A config's value as one would write it, without what a page must not tell."""
    value = hide_paths_in(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
