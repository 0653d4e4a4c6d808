"""The HTML page of `runs compare --report FILE`: verdict, metrics, classes, and the images with different results."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from transfercli.config.differing_keys import value_text
from transfercli.evaluation.examples import SHOWN, Change
from transfercli.evaluation.multilabel.changes import ChangesOfLabel, LabelChange
from transfercli.evaluation.multilabel.predictions import LabelPredictions
from transfercli.evaluation.report.charts import nice_ticks
from transfercli.evaluation.report.html import jinja_environment, load_script
from transfercli.evaluation.report.plots import CURVES, curves_of
from transfercli.evaluation.report.run_curves import DISTINCT, RunCurves, line_style, overlaid_curves
from transfercli.evaluation.scoring import Predicted
from transfercli.evaluation.statistics.multiple_comparisons import Adjusted
from transfercli.evaluation.statistics.paired import Comparison, Difference, Outcome, metric_sign
from transfercli.redaction import hide_paths_in

NAMED_KEYS = 3  # of the config, that show at a glance in what a run differs from the first
PICTURES = 400  # in one page, divided among its galleries
MOST_DETAILED = 8  # comparisons with sections of their own


@dataclass(frozen=True, slots=True)
class Words:
    """Words and metrics of a task in the page.

    noun, nouns: of what an image has; columns: metrics of one in its table, the one with a bar first; meaning: of that
    metric; right: an image whose answer is right
    """

    noun: str
    nouns: str
    columns: tuple[str, ...]
    meaning: str
    right: str


CLASS_WORDS = Words(
    noun="class",
    nouns="classes",
    columns=("recall", "precision", "f1"),
    meaning="Recall is the share of a class's images that are predicted as it.",
    right="",
)
LABEL_WORDS = Words(
    noun="label",
    nouns="labels",
    columns=("ap", "recall", "precision", "f1"),
    meaning="AP is the average precision. Recall and precision are of the answers, each run with its own thresholds.",
    right="An image is right if all of its known labels are.",
)
WORDS = {False: CLASS_WORDS, True: LABEL_WORDS}  # by RunComparison.several


@dataclass(frozen=True, slots=True, kw_only=True)
class RunComparison:
    """Comparison of one challenger with the champion, both given by the labels of their runs.

    before, after: the compared predictions of champion and challenger
    fixed, broken: the images to show that only the challenger, or only the champion, has right
    pictures: `data:` URLs by path; missing: the reason why there is no picture, by path
    config, seconds, only_known, left_out: as returned by `runs compare`
    name: of the challenger, by the config keys that differ between all runs, such as `learning_rate 0.003`
    is_champion: the challenger is the champion of its experiment
    adjusted: corrected for the number of comparisons; None if there is only one
    lines: of the challenger's metrics.jsonl
    by_label: of several labels, the images in which one label is right in only one of the answers
    """

    champion: str
    challenger: str
    compared: Comparison
    before: Predicted
    after: Predicted
    fixed: Sequence[Change | LabelChange]
    broken: Sequence[Change | LabelChange]
    pictures: Mapping[str, str]
    missing: Mapping[str, str]
    config: Sequence[Mapping[str, Any]]
    seconds: Mapping[str, Mapping[str, float | None]]
    only_known: Mapping[str, Sequence[str]] = field(default_factory=dict)
    left_out: int = 0
    name: str = ""
    is_champion: bool = False
    adjusted: Adjusted | None = None
    lines: Sequence[Mapping[str, Any]] = ()
    by_label: Sequence[ChangesOfLabel] = ()

    @property
    def several(self) -> bool:
        """True if an image may have several labels."""
        return isinstance(self.before, LabelPredictions)

    @property
    def outcome(self) -> Outcome:
        """The verdict, corrected for the number of comparisons."""
        return self.adjusted.outcome if self.adjusted else self.compared.outcome(self.compared.metric)

    @property
    def called(self) -> str:
        """The challenger's name, or its label if it has none."""
        return self.name or self.challenger


@dataclass(frozen=True, slots=True)
class FirstRun:
    """The run that all others are compared with. name, is_champion, lines: as of `RunComparison`."""

    name: str = ""
    is_champion: bool = False
    lines: Sequence[Mapping[str, Any]] = ()


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
    return max(SHOWN, PICTURES // (2 * min(challengers, MOST_DETAILED)))


def order_by_gain(comparisons: Sequence[Comparison]) -> list[int]:
    """Return the numbers of comparisons in the order of the table: the largest gain first, an undefined one last."""

    def gain(number: int) -> float:
        value = comparisons[number].gain()
        return -math.inf if value is None else value

    return sorted(range(len(comparisons)), key=gain, reverse=True)


def detailed(comparisons: Sequence[Comparison]) -> list[int]:
    """Return the numbers of the comparisons that have sections of their own: those that gain most."""
    return sorted(order_by_gain(comparisons)[:MOST_DETAILED])


def render_comparisons(
    comparisons: Sequence[RunComparison], split: str, reproduce: str, first: FirstRun | None = None
) -> str:
    """Return the HTML page; the `detailed` comparisons have sections of their own.

    reproduce: the command line that writes it again.
    """
    code, policy = load_script("report.js")
    first = first or FirstRun()
    several = len(comparisons) > 1
    compared = [run.compared for run in comparisons]
    ordered = [comparisons[number] for number in order_by_gain(compared)]
    sections = [comparisons[number] for number in detailed(compared)]
    return (
        jinja_environment()
        .get_template("compare.html.j2")
        .render(
            comparisons=[_entry(run, f"-{n}" * several) for n, run in enumerate(sections, 1)],
            rows=[_together(run, number, sections) for number, run in enumerate(ordered, 1)] if several else [],
            first=first,
            curves=_curves(first, comparisons[0].champion, ordered),
            champion=comparisons[0].champion,
            split=split,
            reproduce=reproduce,
            metrics=compared[0].scoring.metrics,
            words=WORDS[comparisons[0].several],
            at_once=SHOWN,
            script=code,
            policy=policy,
        )
    )


def _together(run: RunComparison, number: int, sections: Sequence[RunComparison]) -> dict[str, Any]:
    """Return the template variables of a row of the table of all comparisons. number: of its curve."""
    place = next((index for index, each in enumerate(sections, 1) if each is run), None)
    return {
        "run": run,
        "style": line_style(number),
        "row": row_of(run.compared, run.compared.metric, 1.0),
        "section": None if place is None else f"verdict-{place}",
    }


def _curves(first: FirstRun, champion: str, ordered: Sequence[RunComparison]) -> dict[str, Any] | None:
    """Return the charts and the legend of the validation curves; None if no run has any."""
    runs = [RunCurves(first.name or champion, first.lines), *(RunCurves(run.called, run.lines) for run in ordered)]
    keys = curves_of([line for run in runs for line in run.lines])
    charts = {CURVES[key]: chart for key in keys if (chart := overlaid_curves(runs, key)) is not None}
    if not charts:
        return None
    drawn = [{"name": run.name, "style": line_style(number)} for number, run in enumerate(runs[: 1 + DISTINCT])]
    return {"charts": charts, "legend": drawn, "rest": max(0, len(runs) - 1 - DISTINCT), "runs": len(runs)}


def _entry(run: RunComparison, suffix: str) -> dict[str, Any]:
    """Return the template variables of one comparison; suffix: appended to the ids of its sections."""
    metrics = run.compared.scoring.metrics
    bounded = [name for name in metrics if math.isfinite(metrics[name].bounds.high)]
    scale = scale_of(run.compared, bounded)
    scales = {name: scale if name in bounded else scale_of(run.compared, [name]) for name in metrics}
    names = WORDS[run.several].columns
    class_scale = scale_of(run.compared, [f"{names[0]}[{label}]" for label in run.before.labels])
    return {
        "run": run,
        "suffix": suffix,
        "scale": scale,
        "rows": [row_of(run.compared, name, scales[name]) for name in metrics],
        "class_scale": class_scale,
        "classes": _classes(run, class_scale),
        "agreement": _agreement(run),
        "config": (config := [{key: _config_text(value) for key, value in line.items()} for line in run.config]),
        "differs": config[:NAMED_KEYS],
        "outcome": run.outcome,
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
    """Return for each class or label the number of images, and the table rows of its metrics."""
    targets, labels = run.before.targets, run.before.labels
    counts = (targets == 1).sum(axis=0) if run.several else np.bincount(targets, minlength=len(labels))
    return [
        {
            "label": label,
            "images": images,
            **{name: row_of(run.compared, f"{name}[{label}]", scale) for name in WORDS[run.several].columns},
        }
        for label, images in zip(labels, counts.tolist(), strict=True)
    ]


def _agreement(run: RunComparison) -> dict[str, int]:
    """Return the number of images that both models have right, and that both have wrong."""
    before, after = (run.compared.scoring.right(model) for model in (run.before, run.after))
    return {"right": int((before & after).sum()), "wrong": int((~before & ~after).sum())}


def _config_text(value: Any) -> str:
    """Return the text of a config value, without absolute paths."""
    return value_text(hide_paths_in(value))
