"""Winner of a sweep: the best trial, a score that its choice does not flatter, and the trials that are as good."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from transfercli.evaluation.statistics.selection import LOSS, TOLERANCE, Selection, select
from transfercli.evaluation.statistics.skewed_intervals import Interval
from transfercli.reporting import Reporter
from transfercli.text import counted, first_of, in_groups
from transfercli.workflows.sweep.looks import TestScore, score_on_test
from transfercli.workflows.sweep.prediction_cost import PredictionCost
from transfercli.workflows.sweep.result import TrialRow, best_first
from transfercli.workflows.sweep.trial_answers import ComparedTrials, LeftOut, NoComparison, compare_trials

METHOD = "bootstrap bias-corrected cross-validation"
ALONE = "too few of the other trials can be compared with it"
LISTED = 5  # trials in a sentence
# Metrics of `evaluate` that correspond to those of the search.
ON_TEST = {
    "val_accuracy": "accuracy",
    "val_macro_f1": "macro_f1",
    "val_balanced_accuracy": "balanced_accuracy",
    "val_map": "map",
    "val_micro_f1": "micro_f1",
    LOSS: "log_loss",
}


@dataclass(frozen=True)
class Rival:
    """Trial beside the winner. difference: of its score to the winner's; error: standard error of that difference."""

    row: TrialRow
    score: float
    difference: float
    error: float
    cost: PredictionCost

    def as_json(self) -> dict[str, Any]:
        return {
            "trial": self.row.number,
            "run": _text(self.row.run),
            "values": self.row.values,
            "score": self.score,
            "difference": self.difference,
            "error": self.error,
            "cost": self.cost.as_json(),
        }


@dataclass(frozen=True)
class Winner:
    """The best completed trial of a sweep.

    Attributes:
        metric: that the trials were chosen by, such as val_accuracy.
        naive: the trial's score on the images that it was chosen on.
        corrected: the score to be expected on new images; None if there is no correction.
        interval: 95% of `corrected`.
        reason: why there is no correction, or None.
        resamples: number of resamples of the images.
        images, groups: numbers of images, and of their independent groups, or None.
        trials: number of completed trials that were compared.
        refitted: number of trials whose models learnt from these images in the end; their answers are out of fold.
        learnt: number of images that score a trial and that an ancestor of one learnt from. Scores are of the others;
            if there is no correction because too few were left, the naive score is of all, and too good.
        left_out: completed trials that were not compared, with the reason.
        indistinguishable: trials that may be the best, the winner first; empty without answers.
        one_standard_error: the cheapest trial within one standard error of the winner, maybe the winner itself.
        test: its score on the test images, which nothing else in the sweep reads; None if there are none.
    """

    row: TrialRow
    metric: str
    naive: float
    corrected: float | None = None
    interval: Interval | None = None
    reason: str | None = None
    resamples: int = 0
    images: int | None = None
    groups: int | None = None
    trials: int = 1
    refitted: int = 0
    learnt: int = 0
    left_out: LeftOut = ()
    indistinguishable: tuple[Rival, ...] = ()
    one_standard_error: Rival | None = None
    test: TestScore | None = None

    @property
    def bias(self) -> float | None:
        """Bias of the naive score; None if there is no correction."""
        return None if self.corrected is None else self.naive - self.corrected

    @property
    def summary(self) -> str:
        """The scores in one sentence."""
        on = "out of fold" if len(self.row.runs) > 1 else "on validation"
        parts = [f"{self._name} {self.naive:.3f} {on}" + (f", the best of {self.trials}" if self.trials > 1 else "")]
        if self.corrected is not None:
            between = f" ({self.interval[0]:.3f} to {self.interval[1]:.3f})" if self.interval else ""
            parts.append(f"about {self.corrected:.3f}{between} is to be expected on new images")
        if self.test is not None and (value := self.test.value(ON_TEST[self.metric])) is not None:
            found = (self.test.look.get("intervals") or {}).get(ON_TEST[self.metric])
            between = f" ({found[0]:.3f} to {found[1]:.3f})" if found else ""
            parts.append(f"{value:.3f}{between} on the {counted(self.test.look['examples'], 'test image')}")
        return "; ".join(parts)

    @property
    def _name(self) -> str:
        return self.metric.removeprefix("val_").replace("_", " ")

    def lines(self) -> list[str]:
        """Return the result in sentences."""
        lines = [self.summary]
        if self.learnt and self.images is None:
            lines.append(f"the score is not corrected for the choice, and may be too good: {self.reason}")
        elif self.reason and (self.trials > 1 or self.left_out):
            lines.append(f"the score is not corrected for the choice: {self.reason}")
        if self.learnt and self.images is not None:
            others = counted(self.learnt, "other image")
            lines.append(f"left out: {others} of the trials, as an ancestor of a trial learnt from them")
        if self.left_out:
            lines.append(_not_compared(self.left_out))
        if self.images is not None and self.trials > 1:
            on = f"on these {counted(self.images, 'image')}{in_groups(self.groups)}"
            equal = len(self.indistinguishable)
            if equal > 1:
                numbers = _numbers(self.indistinguishable)
                lines.append(f"{equal} of the {self.trials} trials are not distinguishable {on}: {numbers}")
            else:
                lines.append(f"every other trial is worse {on}")
        same = [rival for rival in self.indistinguishable[1:] if abs(rival.difference) < TOLERANCE]
        if same and self.metric != LOSS:
            trials = f"trial {same[0].row.number} has" if len(same) == 1 else f"trials {_numbers(same)} have"
            rule = "of equal ones the lower log loss before calibration wins"
            lines.append(f"{trials} the same {self._name} as trial {self.row.number}: {rule}")
        if (rival := self.one_standard_error) is not None and rival.row.number != self.row.number:
            lines.append(
                f"trial {rival.row.number} predicts at {self._relative_cost(rival)} and is within one standard error of"
                f" the winner: {rival.score:.3f}"
            )
        if self.test is not None and self.test.learnt:
            others = counted(self.test.learnt, "other test image")
            lines.append(f"left out: {others}, as the winner or an ancestor learnt from them")
        if self.test is not None and self.test.looks > 1:
            lines.append(
                f"the test images have scored {counted(self.test.looks, 'winner')} of the sweeps of this"
                " experiment: the more they do, the less they are new images"
            )
        return lines

    def _relative_cost(self, rival: Rival) -> str:
        """Return `40% of its multiply-adds` or `97% of its parameters`."""
        own = self.indistinguishable[0].cost
        if rival.cost.multiply_adds != own.multiply_adds:
            return f"{rival.cost.multiply_adds / own.multiply_adds:.0%} of its multiply-adds"
        return f"{rival.cost.parameters / own.parameters:.1%} of its parameters"

    def as_json(self) -> dict[str, Any]:
        return {
            "trial": self.row.number,
            "run": _text(self.row.run),
            "runs": [str(run) for run in self.row.runs],
            "values": self.row.values,
            "metric": self.metric,
            "naive": self.naive,
            "corrected": self.corrected,
            "interval": None if self.interval is None else list(self.interval),
            "bias": self.bias,
            "method": None if self.corrected is None else METHOD,
            "resamples": self.resamples,
            "reason": self.reason,
            "images": self.images,
            "groups": self.groups,
            "trials": self.trials,
            "refitted": self.refitted,
            "learnt": self.learnt,
            "left_out": [{"trial": row.number, "reason": reason} for row, reason in self.left_out],
            "indistinguishable": [rival.as_json() for rival in self.indistinguishable],
            "one_standard_error": self.one_standard_error and self.one_standard_error.as_json(),
            "test": self.test and {"value": self.test.value(ON_TEST[self.metric]), **self.test.as_json()},
            "looks": self.test.looks if self.test else 0,
            "summary": self.summary,
            "lines": self.lines(),
        }


def choose_winner(
    rows: Sequence[TrialRow], metric: str, seed: int, reporter: Reporter, folder: Path | None
) -> Winner | None:
    """Choose the best completed trial, correct its score for the choice, and score it on the test images.

    rows: all trials; only completed ones can win. metric: of the search. folder: of the sweep, which keeps the looks at
    the test images; None if no look is taken, as the winner is not final. Returns None if no trial is completed.
    """
    completed = [row for row in sorted(rows, key=lambda row: row.number) if row.state == "completed"]
    completed = [row for row in completed if row.value is not None]
    if not completed:
        return None
    if folder and not all(row.runs for row in completed):
        reporter.warning("no test image is read: the run of a trial that may be the winner is not here")
        folder = None
    try:
        compared = compare_trials(completed, reporter)
    except NoComparison as failure:
        return _without_answers(completed, metric, folder, failure, reporter)
    if compared.left_out:
        reporter.warning(_not_compared(compared.left_out))
    if compared.learnt:
        reporter.warning(
            f"{counted(compared.learnt, 'image')} of those that score the trials do not choose the winner, as an"
            " ancestor of a trial learnt from them"
        )
    selection = select(compared.answers, metric, seed)
    winner = compared.trials[selection.best]
    rivals = _rivals(compared, selection, metric)
    plausible, near = (
        {row.number for row, kept in zip(compared.trials, chosen, strict=True) if kept}
        for chosen in (selection.plausible, selection.within_one_error(metric))
    )
    return Winner(
        row=winner,
        metric=metric,
        naive=selection.naive,
        corrected=None if selection.reason else selection.corrected,
        interval=selection.interval,
        reason=ALONE if selection.reason and len(compared.trials) < len(completed) else selection.reason,
        resamples=selection.resamples,
        images=compared.answers.images,
        groups=compared.answers.clusters,
        trials=len(compared.trials),
        refitted=compared.refitted,
        learnt=compared.learnt,
        left_out=compared.left_out,
        indistinguishable=tuple(rival for rival in rivals if rival.row.number in plausible),
        one_standard_error=_cheapest(rivals, near),
        test=score_on_test(folder, winner, reporter) if folder else None,
    )


def _without_answers(
    rows: Sequence[TrialRow], metric: str, folder: Path | None, failure: NoComparison, reporter: Reporter
) -> Winner:
    """Return the trial with the best value, the first of equal ones, without a correction."""
    reporter.warning(f"the winner's score is not corrected: {failure.reason}")
    best = best_first(rows, metric)[0]
    return Winner(
        best,
        metric,
        best.value or 0.0,
        reason=failure.reason,
        trials=len(rows),
        learnt=failure.learnt,
        left_out=failure.left_out,
        test=score_on_test(folder, best, reporter) if folder else None,
    )


def _numbers(rivals: Sequence[Rival]) -> str:
    return first_of([str(rival.row.number) for rival in rivals], LISTED)


def _not_compared(left_out: LeftOut) -> str:
    listed = first_of([f"{row.number} ({reason})" for row, reason in left_out], LISTED)
    return f"{counted(len(left_out), 'trial')} cannot be compared with the others, and cannot win: {listed}"


def _rivals(compared: ComparedTrials, selection: Selection, metric: str) -> list[Rival]:
    """Return the trials that may be the best, or are within one standard error of it: the winner first, then by score.

    Only they need a cost, for which their files are read.
    """
    near = selection.plausible | selection.within_one_error(metric)
    scores = selection.scores
    order = np.argsort(scores if metric == LOSS else -scores, kind="stable")
    first = [selection.best, *(int(index) for index in order if index != selection.best)]
    return [
        Rival(
            compared.trials[index],
            float(scores[index]),
            float(scores[index] - scores[selection.best]),
            float(selection.errors[index]),
            PredictionCost.of(compared.trials[index]),
        )
        for index in first
        if near[index]
    ]


def _cheapest(rivals: Sequence[Rival], near: Collection[int]) -> Rival:
    """Return the rival with the lowest cost of a prediction; of equally cheap ones the best, so maybe the winner.

    near: numbers of the trials within one standard error of the winner (Breiman et al. 1984, "Classification and
    Regression Trees").
    """
    return min((rival for rival in rivals if rival.row.number in near), key=lambda rival: rival.cost.order)


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
