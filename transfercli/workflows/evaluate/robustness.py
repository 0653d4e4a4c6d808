"""Passes of `evaluate --corrupt` and `--tta`: predictions for images that are changed as their batches are read."""

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
    from transfercli.evaluation.robustness.tta import View
    from transfercli.evaluation.scoring import Predicted
    from transfercli.workflows.evaluate.request import EvaluateRequest
    from transfercli.workflows.stored_run import StoredRun

# uint8 [n, H, W, 3] and image indices int64 [n] -> uint8 [n, H, W, 3]
ImageChange = Callable[[np.ndarray, np.ndarray], np.ndarray]


def robustness_and_tta(run: StoredRun, split: Split, plain: Predicted, request: EvaluateRequest) -> dict[str, Any]:
    """Return {"robustness", "tta"} of an `Evaluation`, None if not requested. plain: predictions without changes."""
    return {
        "robustness": corruption_robustness(run, split, plain) if request.corrupt else None,
        "tta": tta_comparison(run, split, plain) if request.tta else None,
    }


def corruption_robustness(run: StoredRun, split: Split, plain: Predicted) -> dict[str, Any]:
    """Return the `score.corruption_summary` of one pass for each corruption and severity."""
    from transfercli.evaluation.robustness.corruptions import CORRUPTIONS, SEVERITIES
    from transfercli.evaluation.robustness.score import corruption_summary, score_corruption
    from transfercli.workflows.resolved_config import image_size

    seed, size = run.config.seed, image_size(run.config)
    variants = [(corruption, severity) for corruption in CORRUPTIONS.values() for severity in SEVERITIES]
    passes = _ChangedImagePasses(run, split, "corrupt", len(variants))
    scores = []
    for corruption, severity in variants:
        probabilities = passes.probabilities(partial(corruption.batch, severity=severity, seed=seed))
        scores.append(score_corruption(plain, _answers(run, probabilities), corruption, severity, size))
    return corruption_summary(plain, scores, seed)


def _answers(run: StoredRun, probabilities: np.ndarray) -> np.ndarray:
    """Return the class of each image, int [N], or the labels that it is answered with, bool [N, L]."""
    if run.several:
        return run.label_trust.answered(probabilities)
    answers = run.trust.answers(probabilities)
    return probabilities.argmax(axis=1) if answers is None else answers


def tta_comparison(run: StoredRun, split: Split, plain: Predicted) -> dict[str, Any]:
    """Return the `tta.tta_gain` of one pass for each view but the first, which is the plain image."""
    from transfercli.evaluation.predictions import Predictions
    from transfercli.evaluation.robustness.tta import average_views, trained_with_mirroring, tta_gain, views

    all_views = views(trained_with_mirroring(run.config.augmentation))
    passes = _ChangedImagePasses(run, split, "tta", len(all_views) - 1)
    mean = average_views(plain, (passes.probabilities(_change_to(view)) for view in all_views[1:]))
    if isinstance(mean, Predictions):
        mean = replace(mean, answers=run.trust.answers(mean.probabilities))
    return tta_gain(plain, mean, all_views, run.config.seed)


def _change_to(view: View) -> ImageChange:
    return lambda images, _: view(images)


class _ChangedImagePasses(Forwarding):
    """Several passes over a split of changed images, whose progress is reported as one stage."""

    def __init__(self, run: StoredRun, split: Split, stage: str, number: int) -> None:
        super().__init__(run.reporter)
        self.run, self.split, self.stage, self.number = run, split, stage, number
        self.images_done = 0
        self.reporter.info(f"{stage}: {number} more passes over {counted(len(split), 'image')}")

    def probabilities(self, change: ImageChange) -> np.ndarray:
        """Return calibrated probabilities float32 [N, C] of the changed images."""
        changed = replace(self.split, images=TransformedRows(self.split.images, change))
        probabilities = self.run.probabilities(changed, self.stage, self)
        self.images_done += len(self.split)
        return probabilities

    def progress(self, stage: str, done: int, total: int, unit: str = "images") -> None:
        self.reporter.progress(stage, self.images_done + done, self.number * total, unit)
