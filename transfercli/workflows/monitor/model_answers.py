"""Answers of a run to its own held-out images, as they are and under known shifts, and to recent ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from transfercli.data.clusters import cluster_indices
from transfercli.errors import DataError
from transfercli.evaluation.monitoring.answered_images import AnsweredImages, LabelledAnswers
from transfercli.evaluation.statistics.shift_tests import ModelOutputs, sample_indices
from transfercli.reporting import Forwarding
from transfercli.rows import TransformedRows
from transfercli.text import counted
from transfercli.workflows.data.drift import load_recorded
from transfercli.workflows.data.image_features import ImageFeatures
from transfercli.workflows.held_out_images import not_learnt_before
from transfercli.workflows.stored_run import StoredRun

if TYPE_CHECKING:
    from transfercli.data.dataset import Split
    from transfercli.evaluation.monitoring.expected_accuracy import KnownShift

MOST_HELD_OUT = 600  # images that confidence and features are compared with
MOST_SHIFTED = 100  # of these, chosen anew for each known shift: 80 shifts are 8,000 forward passes
FEWEST = 10  # held-out images of a split, for it to be used
STAGE = "known shifts"


@dataclass(frozen=True)
class HeldOutImages:
    """Held-out images of a run. splits: test, and validation unless the model learnt from it in the end.

    learnt: True if the model or an ancestor learnt from them, as there are no others
    """

    splits: tuple[Split, ...]
    learnt: bool

    @property
    def names(self) -> str:
        """The names of the splits in words."""
        return " and ".join(split.name for split in self.splits)

    def __len__(self) -> int:
        return sum(map(len, self.splits))


def held_out_images(run: StoredRun) -> HeldOutImages:
    """Return at most `MOST_HELD_OUT` held-out images that no weights behind the run learnt from, if there are some.

    Raises `DataError` if the run has none, or if their files are missing.
    """
    names = ("test",) if run.record.refitted and run.usable_of("test") else ("test", "validation")
    present = [name for name in names if run.usable_of(name)]
    if not present:
        raise DataError(
            f"{run.label} has no test or validation images, which its answers to recent images are compared with",
            "train it again with data.test or data.validation",
        )
    loaded = [load_recorded(run, name, MOST_HELD_OUT) for name in present]
    honest = [split.at(np.flatnonzero(not_learnt_before(run, split.paths, run.reporter))) for split in loaded]
    enough = [split for split in honest if len(split) >= FEWEST]
    splits, left = [], MOST_HELD_OUT
    for split in enough or loaded:
        splits.append(split.at(sample_indices(len(split), left, run.config.seed)))
        left -= len(splits[-1])
    learnt = not enough or (run.record.refitted and "validation" in present)
    return HeldOutImages(tuple(split for split in splits if len(split)), bool(learnt))


def answered_images(run: StoredRun, outputs: ModelOutputs) -> AnsweredImages:
    """Return the run's answers by outputs of its model."""
    probabilities = outputs.probabilities.astype(np.float64)
    if run.several:
        answered = run.label_trust.answered(probabilities)
    else:
        chosen = run.trust.answers(probabilities)
        classes = probabilities.argmax(axis=1) if chosen is None else chosen
        answered = classes[:, None] == np.arange(probabilities.shape[1])
    features = outputs.features.astype(np.float32)
    return AnsweredImages(probabilities, answered, features, run.several, cluster_indices(outputs.groups))


class HeldOutAnswers:
    """Answers of a run to its held-out images, computed when they are read."""

    def __init__(self, run: StoredRun, extractor: ImageFeatures, images: HeldOutImages) -> None:
        self.run, self.extractor, self.images = run, extractor, images

    def unchanged(self) -> LabelledAnswers:
        """Return the answers to the images as they are. Answers that score the run are read, not computed."""
        outputs = [self._scored(split, self.extractor.outputs(split)) for split in self.images.splits]
        probabilities = np.concatenate([each.probabilities for each in outputs])
        features = np.concatenate([each.features for each in outputs])
        groups = tuple(group for split in self.images.splits for group in split.groups or ("",) * len(split))
        answers = answered_images(self.run, ModelOutputs(features, probabilities, groups=groups))
        return LabelledAnswers.of_targets(answers, np.concatenate([split.targets for split in self.images.splits]))

    def _scored(self, split: Split, outputs: ModelOutputs) -> ModelOutputs:
        """Return outputs with the probabilities that score the run: out of fold if it learnt from the split."""
        scored = self.run.held_out
        if split.name != "validation" or not self.run.record.refitted or scored is None:
            return outputs
        row_of = {path: row for row, path in enumerate(scored.paths)}
        rows = np.array([row_of.get(path, -1) for path in split.paths])
        known = self.run.calibrate(scored.logits[rows])
        return replace(outputs, probabilities=np.where((rows >= 0)[:, None], known, outputs.probabilities))

    def shifted(self) -> Iterator[KnownShift]:
        """Yield the answers under each known shift; the images of each are drawn anew."""
        from transfercli.evaluation.monitoring.expected_accuracy import KnownShift
        from transfercli.evaluation.monitoring.known_shifts import KNOWN_SHIFTS
        from transfercli.evaluation.robustness.corruptions import SEVERITIES

        variants = [(row, severity) for row in KNOWN_SHIFTS.values() for severity in SEVERITIES]
        each = min(MOST_SHIFTED, len(self.images))
        self.run.reporter.info(
            f"{STAGE}: {len(variants)} passes over {counted(each, 'held-out image')}, which are made once for this run"
        )
        rng = np.random.default_rng([self.run.config.seed, 31])
        progress = _Passes(self.extractor, len(variants) * each)
        for row, severity in variants:
            chosen = np.sort(rng.permutation(len(self.images))[:each])
            change = partial(row.batch, severity=severity, seed=self.run.config.seed)
            parts = [
                (replace(split.at(rows), images=TransformedRows(split.at(rows).images, change)), split.targets[rows])
                for split, rows in self._rows_of(chosen)
            ]
            outputs = [progress.outputs(part) for part, _ in parts]
            probabilities = np.concatenate([output.probabilities for output in outputs])
            features = np.concatenate([output.features for output in outputs])
            answers = answered_images(self.run, ModelOutputs(features, probabilities))
            targets = np.concatenate([targets for _, targets in parts])
            yield KnownShift(row.name, LabelledAnswers.of_targets(answers, targets))

    def _rows_of(self, chosen: np.ndarray) -> Iterator[tuple[Split, np.ndarray]]:
        """Yield each split that has some of the images, and their rows in it."""
        start = 0
        for split in self.images.splits:
            rows = chosen[(chosen >= start) & (chosen < start + len(split))] - start
            start += len(split)
            if len(rows):
                yield split, rows


class _Passes(Forwarding):
    """Many passes, whose progress is reported as one stage; their features are not cached."""

    def __init__(self, extractor: ImageFeatures, total: int) -> None:
        super().__init__(extractor.reporter)
        self.extractor, self.total, self.done = extractor, total, 0

    def outputs(self, split: Split) -> ModelOutputs:
        """Return the outputs for a split of changed images."""
        result = self.extractor.uncached_outputs(split, self)
        self.done += len(split)
        self.progress(STAGE, 0, 0)
        return result

    def progress(self, stage: str, done: int, total: int, unit: str = "images") -> None:
        self.reporter.progress(STAGE, self.done, self.total, unit)
