"""`evaluate --corrupt` and `--tta`: what a run says of images that are changed as they are read, a batch at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from transfercli.reporting import Reporter
from transfercli.text import counted
from transfercli.workflows.evaluate.inference import probabilities_of

if TYPE_CHECKING:
    from transfercli.data.dataset import Images, Split
    from transfercli.evaluation.predictions import Predictions
    from transfercli.evaluation.robustness.tta import View
    from transfercli.workflows.evaluate.request import EvaluateRequest
    from transfercli.workflows.model import TrainedRun

Change = Callable[[np.ndarray, np.ndarray], np.ndarray]


def beside(
    trained: TrainedRun, split: Split, plain: Predictions, request: EvaluateRequest, reporter: Reporter
) -> dict[str, Any]:
    """{"robustness", "tta"} of an `Evaluation`: None where not asked for. plain: what was said of the images."""
    return {
        "robustness": corrupted(trained, split, plain, reporter) if request.corrupt else None,
        "tta": augmented(trained, split, plain, reporter) if request.tta else None,
    }


def corrupted(trained: TrainedRun, split: Split, plain: Predictions, reporter: Reporter) -> dict[str, Any]:
    """As `evaluation.robustness.robustness` gives it: one pass for each corruption and severity."""
    from transfercli.evaluation.robustness.corruptions import CORRUPTIONS, SEVERITIES
    from transfercli.evaluation.robustness.score import corruption_summary, score_corruption
    from transfercli.workflows.model import image_size

    seed, size = trained.config.seed, image_size(trained.config)
    tried = [(row, severity) for row in CORRUPTIONS.values() for severity in SEVERITIES]
    passes = _Passes(trained, split, "corrupt", len(tried), reporter)
    rows = []
    for row, severity in tried:
        said = passes.over(partial(row.batch, severity=severity, seed=seed))
        rows.append(score_corruption(plain, said.argmax(axis=1), row, severity, size))
    return corruption_summary(plain, rows, seed)


def augmented(trained: TrainedRun, split: Split, plain: Predictions, reporter: Reporter) -> dict[str, Any]:
    """As `evaluation.tta.gained` gives it: one pass for each view but the first, which is the plain one."""
    from transfercli.evaluation.robustness.tta import average_views, trained_with_mirroring, tta_gain, views

    taken = views(trained_with_mirroring(trained.config.augmentation))
    passes = _Passes(trained, split, "tta", len(taken) - 1, reporter)
    mean = average_views(plain, (passes.over(_seen_as(view)) for view in taken[1:]))
    return tta_gain(plain, mean, taken, trained.config.seed)


def _seen_as(view: View) -> Change:
    return lambda images, _: view(images)


@dataclass(frozen=True)
class Changed:
    """Images that `change` changes as they are read: it gets uint8 [n, H, W, 3] and their indices [n]."""

    images: Images
    change: Change

    def __len__(self) -> int:
        return len(self.images)

    def read(self, indices: np.ndarray) -> np.ndarray:
        return self.change(self.images.read(indices), indices)


class _Passes(Reporter):
    """Several passes over a split, told as one stage."""

    def __init__(self, trained: TrainedRun, split: Split, stage: str, number: int, reporter: Reporter) -> None:
        self.trained, self.split, self.stage, self.number, self.reporter = trained, split, stage, number, reporter
        self.before = 0
        reporter.info(f"{stage}: {number} more passes over {counted(len(split), 'image')}")

    def over(self, change: Change) -> np.ndarray:
        """float32 [N, C]: calibrated probabilities of the changed images."""
        changed = replace(self.split, images=Changed(self.split.images, change))
        found = probabilities_of(self.trained, changed, self, self.stage)
        self.before += len(self.split)
        return found

    def progress(self, stage: str, done: int, total: int, unit: str = "images") -> None:
        self.reporter.progress(stage, self.before + done, self.number * total, unit)
