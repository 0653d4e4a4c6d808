"""Looks of a sweep at the test images, `test-looks.json` in its folder: one for each trial that was its winner.

A score on test images is honest as long as they choose nothing. A sweep that goes on after a look, and then has
another winner, has looked twice; so has one after another sweep of its experiment. So every look is kept, and their
number is part of the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from transfercli.errors import ArtefactError, DataError
from transfercli.io import atomic
from transfercli.io.bounded import read_json
from transfercli.reporting import Reporter
from transfercli.runs.folder import DEFAULT_RUNS, RunFolder
from transfercli.runs.record import utc_now
from transfercli.workflows.answers import evaluate_answers, predict_split
from transfercli.workflows.evaluate.evaluate import evaluate_run
from transfercli.workflows.evaluate.request import EvaluateRequest
from transfercli.workflows.known_images import known_images
from transfercli.workflows.stored_run import StoredRun
from transfercli.workflows.sweep.result import TrialRow

if TYPE_CHECKING:
    from transfercli.data.dataset import Split
    from transfercli.evaluation.result import Evaluation
    from transfercli.evaluation.scoring import Predicted

LOOKS_FILE = "test-looks.json"
SPLIT = "test"


@dataclass(frozen=True)
class TestScore:
    """Metrics of the winner on the test images that no run of it and no ancestor learnt from.

    Attributes:
        look: its entry in the file.
        looks: number of winners of the experiment's sweeps that its test images had scored by then.
    """

    __test__ = False  # not a class of tests for pytest

    look: dict[str, Any]
    looks: int

    def value(self, metric: str) -> float | None:
        """Return a metric of the table of metrics."""
        value = self.look["metrics"].get(metric)
        return None if value is None else float(value)

    @property
    def learnt(self) -> int:
        """Number of other test images, which the winner or an ancestor learnt from."""
        return int(self.look.get("learnt") or 0)  # earlier versions did not count them

    def as_json(self) -> dict[str, Any]:
        return {key: self.look[key] for key in ("examples", "metrics", "intervals")} | {"learnt": self.learnt}


def score_on_test(folder: Path, row: TrialRow, reporter: Reporter) -> TestScore | None:
    """Evaluate a sweep's winner on its test images, once; a winner that was evaluated before is not evaluated again.

    folder: of the sweep. None if the config has no test images, or if they, the run or the looks so far cannot be read,
    which is a warning.
    """
    try:
        return _score_once(folder, [StoredRun(RunFolder(path), reporter) for path in row.runs], row.number, reporter)
    except (DataError, ArtefactError) as error:
        reporter.warning(f"the winner is not evaluated on the test images: {error.message}")
        return None


def _score_once(folder: Path, runs: Sequence[StoredRun], number: int, reporter: Reporter) -> TestScore | None:
    if not any(image.split == SPLIT for image in runs[0].images):
        return None
    looks = read_looks(folder)
    key = {"trial": number, "runs": [run.folder.run_id for run in runs], "created": runs[0].record.created}
    for look in looks:
        if {name: look.get(name) for name in key} == key:
            return TestScore(look, len(looks) + _looks_of_others(folder, look.get("at")))
    evaluation = _evaluate(runs, reporter)
    intervals = {name: list(bounds) for name, bounds in evaluation.honest_intervals.items()}
    learnt = evaluation.examples - evaluation.honest_examples
    scores = {"examples": evaluation.honest_examples, "metrics": evaluation.honest, "intervals": intervals}
    looks.append({**key, "at": utc_now(), **scores, "learnt": learnt})
    atomic.write_json(folder / LOOKS_FILE, looks)
    return TestScore(looks[-1], len(looks) + _looks_of_others(folder, looks[-1]["at"]))


def read_looks(folder: Path) -> list[dict[str, Any]]:
    """Return the looks of a sweep so far. Raises `ArtefactError` if the file is damaged."""
    path = folder / LOOKS_FILE
    if not path.exists():
        return []
    looks = read_json(path)
    if not isinstance(looks, list) or not all(isinstance(look, dict) and "metrics" in look for look in looks):
        raise ArtefactError(f"{path} is damaged: it must be a list of looks at the test images", "restore or remove it")
    return looks


def _looks_of_others(folder: Path, until: str | None) -> int:
    """Return the number of looks of the other sweeps of an experiment that were taken before a time."""
    count = 0
    for other in folder.parent.glob(f"*/{LOOKS_FILE}"):
        if other.parent != folder:
            with suppress(ArtefactError):
                count += sum(str(look.get("at") or "") <= (until or "") for look in read_looks(other.parent))
    return count


def _evaluate(runs: Sequence[StoredRun], reporter: Reporter) -> Evaluation:
    """Return the evaluation of a run; of the runs of several folds, that of their mean probabilities and thresholds."""
    if len(runs) == 1:
        path = runs[0].path
        return evaluate_run(EvaluateRequest(str(path), DEFAULT_RUNS, SPLIT), reporter).evaluation
    split = runs[0].split(SPLIT)
    left_out = np.any([known_images(run, split, reporter, own=True).left_out for run in runs], axis=0)
    return evaluate_answers(_mean_answers(runs, split), seed=runs[0].config.seed, left_out=left_out)


def _mean_answers(runs: Sequence[StoredRun], split: Split) -> Predicted:
    """Return predictions with the mean of the runs' probabilities, and of their thresholds."""
    from transfercli.models.tasks.answers import answers_of

    every: list[Any] = [predict_split(run, split) for run in runs]  # all of one task
    probabilities = np.mean([one.probabilities for one in every], axis=0)
    if runs[0].several:
        thresholds = np.mean([one.thresholds for one in every], axis=0)
        return replace(every[0], probabilities=probabilities, thresholds=thresholds)
    chosen = [run.trust.threshold for run in runs if run.trust.threshold is not None]
    answers = answers_of(probabilities, float(np.mean(chosen))) if len(chosen) == len(runs) else None
    return replace(every[0], probabilities=probabilities, answers=answers)
