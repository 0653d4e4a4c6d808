"""`evaluate --corrupt` and `--tta`: what a run says of images that are changed as they are read, a batch at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from transfercli.reporting import Forwarding
from transfercli.rows import TransformedRows
from transfercli.text import counted

if TYPE_CHECKING:
    from transfercli.data.dataset import Split
    from transfercli.evaluation.predictions import Predictions
    from transfercli.evaluation.robustness.tta import View
    from transfercli.workflows.evaluate.request import EvaluateRequest
    from transfercli.workflows.stored_run import StoredRun

Change = Callable[[np.ndarray, np.ndarray], np.ndarray]


def beside(run: StoredRun, split: Split, plain: Predictions, request: EvaluateRequest) -> dict[str, Any]:
    """{"robustness", "tta"} of an `Evaluation`: None where not asked for. plain: what was said of the images."""
    return {
        "robustness": corrupted(run, split, plain) if request.corrupt else None,
        "tta": augmented(run, split, plain) if request.tta else None,
    }


def corrupted(run: StoredRun, split: Split, plain: Predictions) -> dict[str, Any]:
    """As `score.corruption_summary` gives it: one pass for each corruption and severity."""
    from transfercli.evaluation.robustness.corruptions import CORRUPTIONS, SEVERITIES
    from transfercli.evaluation.robustness.score import corruption_summary, score_corruption
    from transfercli.workflows.structure import image_size

    seed, size = run.config.seed, image_size(run.config)
    tried = [(row, severity) for row in CORRUPTIONS.values() for severity in SEVERITIES]
    passes = _Passes(run, split, "corrupt", len(tried))
    rows = []
    for row, severity in tried:
        said = passes.over(partial(row.batch, severity=severity, seed=seed))
        rows.append(score_corruption(plain, said.argmax(axis=1), row, severity, size))
    return corruption_summary(plain, rows, seed)


def augmented(run: StoredRun, split: Split, plain: Predictions) -> dict[str, Any]:
    """As `tta.tta_gain` gives it: one pass for each view but the first, which is the plain one."""
    from transfercli.evaluation.robustness.tta import average_views, trained_with_mirroring, tta_gain, views

    taken = views(trained_with_mirroring(run.config.augmentation))
    passes = _Passes(run, split, "tta", len(taken) - 1)
    mean = average_views(plain, (passes.over(_seen_as(view)) for view in taken[1:]))
    return tta_gain(plain, mean, taken, run.config.seed)


def _seen_as(view: View) -> Change:
    return lambda images, _: view(images)


class _Passes(Forwarding):
    """Several passes over a split, told as one stage."""

    def __init__(self, run: StoredRun, split: Split, stage: str, number: int) -> None:
        super().__init__(run.reporter)
        self.run, self.split, self.stage, self.number = run, split, stage, number
        self.before = 0
        self.reporter.info(f"{stage}: {number} more passes over {counted(len(split), 'image')}")

    def over(self, change: Change) -> np.ndarray:
        """Return calibrated probabilities float32 [N, C] of the changed images.

        change: gets uint8 [n, H, W, 3] and their indices int64 [n], and returns uint8 [n, H, W, 3].
        """
        changed = replace(self.split, images=TransformedRows(self.split.images, change))
        found = self.run.probabilities(changed, self.stage, self)
        self.before += len(self.split)
        return found

    def progress(self, stage: str, done: int, total: int, unit: str = "images") -> None:
        self.reporter.progress(stage, self.before + done, self.number * total, unit)
