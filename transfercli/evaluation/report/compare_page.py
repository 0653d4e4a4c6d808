"""The HTML page of `runs compare --report FILE`: verdict, metrics, classes, and the images with different results."""

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
from transfercli.evaluation.report.html import jinja_environment, load_script
from transfercli.evaluation.statistics.paired import Comparison, Difference, Outcome, metric_sign
from transfercli.redaction import hide_paths_in

NAMED_KEYS = 3  # of the config, that tell a run from the first at a glance
PICTURES = 400  # in one page, divided among its galleries


@dataclass(frozen=True, slots=True, kw_only=True)
class RunComparison:
    """Comparison of one challenger with the champion, both given by the labels of their runs.

    before, after: the compared predictions of champion and challenger
    fixed, broken: the images to show that only the challenger, or only the champion, has right
    pictures: `data:` URLs by path; missing: the reason why there is no picture, by path
    config, seconds, only_known, left_out: as returned by `runs compare`
    """

    champion: str
    challenger: str
    compared: Comparison
    before: Predictions
    after: Predictions
    fixed: Sequence[Change]
    broken: Sequence[Change]
    pictures: Mapping[str, str]
    missing: Mapping[str, str]
    config: Sequence[Mapping[str, Any]]
    seconds: Mapping[str, Mapping[str, float | None]]
    only_known: Mapping[str, Sequence[str]] = field(default_factory=dict)
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class Bar:
    """A gain and its interval in percent of the bar's width; 50 is no gain, and larger is better for every metric."""

    value: float
    left: float
    width: float


@dataclass(frozen=True, slots=True)
class Row:
    """A table row for one metric."""

    name: str
    values: Difference
    outcome: Outcome
    bar: Bar | None


def gallery_size(challengers: int) -> int:
    """Return the largest number of images in a gallery: each challenger has two, which share `PICTURES`."""
    return max(SHOWN, PICTURES // (2 * challengers))


def render_comparisons(comparisons: Sequence[RunComparison], split: str, reproduce: str) -> str:
    """Return the HTML page. reproduce: the command line that writes it again."""
    code, policy = load_script("report.js")
    return (
        jinja_environment()
        .get_template("compare.html.j2")
        .render(
            comparisons=[_entry(run, f"-{n}" * (len(comparisons) > 1)) for n, run in enumerate(comparisons, 1)],
            champion=comparisons[0].champion,
            split=split,
            reproduce=reproduce,
            metrics=METRICS,
            at_once=SHOWN,
            script=code,
            policy=policy,
        )
    )


def _entry(run: RunComparison, suffix: str) -> dict[str, Any]:
    """Return the template variables of one comparison; suffix: appended to the ids of its sections."""
    bounded = [name for name in METRICS if math.isfinite(METRICS[name].bounds.high)]
    scale = scale_of(run.compared, bounded)
    scales = {name: scale if name in bounded else scale_of(run.compared, [name]) for name in METRICS}
    recalls = [f"recall[{label}]" for label in run.before.labels]
    class_scale = scale_of(run.compared, recalls)
    return {
        "run": run,
        "suffix": suffix,
        "decisive": METRICS[run.compared.metric],
        "scale": scale,
        "rows": [row_of(run.compared, name, scales[name]) for name in METRICS],
        "class_scale": class_scale,
        "classes": _classes(run, class_scale),
        "agreement": _agreement(run),
        "config": (config := [{key: _config_text(value) for key, value in line.items()} for line in run.config]),
        "differs": config[:NAMED_KEYS],
    }


def scale_of(compared: Comparison, names: Iterable[str]) -> float:
    """Return a round number that is at least the absolute value of every difference and interval end of `names`."""
    ends = [abs(end) for name in names for end in _ends(compared.metrics[name])]
    return nice_ticks(0.0, max(ends, default=0.0))[-1]


def row_of(compared: Comparison, name: str, scale: float) -> Row:
    """Return the table row of a metric, with a bar from -scale to +scale."""
    values, sign = compared.metrics[name], metric_sign(name)
    positions = [50 + 50 * sign * end / scale for end in _ends(values)]
    bar = Bar(positions[0], min(positions), max(positions) - min(positions)) if positions else None
    return Row(name, values, compared.outcome(name), bar)


def _ends(values: Difference) -> list[float]:
    """Return the difference and the ends of its interval, as far as they are defined."""
    return [] if values.difference is None else [values.difference, *(values.interval or ())]


def _classes(run: RunComparison, scale: float) -> list[dict[str, Any]]:
    """Return for each class the number of images, and the table rows of precision, recall and F1."""
    truths = [run.before.labels[target] for target in run.before.targets]
    return [
        {
            "label": label,
            "images": truths.count(label),
            **{name: row_of(run.compared, f"{name}[{label}]", scale) for name in PER_CLASS},
        }
        for label in run.before.labels
    ]


def _agreement(run: RunComparison) -> dict[str, int]:
    """Return the number of images that both models have right, and that both have wrong."""
    right = [model.predicted == model.targets for model in (run.before, run.after)]
    return {"right": int((right[0] & right[1]).sum()), "wrong": int((~right[0] & ~right[1]).sum())}


def _config_text(value: Any) -> str:
    """Return the text of a config value, without absolute paths."""
    value = hide_paths_in(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
