"""`data drift`: how far images without labels are from those that a run learnt from."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transfercli.data.dataset import Split
from transfercli.data.load import load_recorded_split
from transfercli.data.sources import keras_datasets
from transfercli.data.sources.folders import absolute
from transfercli.data.sources.listing import base_folder
from transfercli.data.unlabelled_images import list_unlabelled, load_unlabelled
from transfercli.errors import DataError
from transfercli.evaluation.statistics.shift_tests import MAX_IMAGES, ModelOutputs, detect_shift, sample_indices
from transfercli.reporting import Reporter
from transfercli.rows import SelectedRows
from transfercli.text import counted
from transfercli.workflows.data.image_features import Sight
from transfercli.workflows.stored_run import StoredRun

if TYPE_CHECKING:
    from transfercli.data.dataset import Dataset

FEW = 10
NEW = "new"  # the side of images that came since a run
HELD_OUT = ("test", "validation")


@dataclass(frozen=True)
class DriftRequest:
    """run: as typed; folder: of recent images, at any depth; maximum: of the score."""

    run: str
    folder: Path
    runs: Path
    maximum: float | None = None


@dataclass(frozen=True)
class Reference:
    """The run's images that recent images are compared with. split: its name; images: how many."""

    split: str
    images: int


@dataclass(frozen=True)
class DriftResult:
    """The distance of images from those of a run.

    Attributes:
        run: the run folder.
        images: number of recent images; compared: of those that were compared.
        drifted, score, tests: as `evaluation.statistics.shift_tests.drift` gives them.
        maximum: the largest score allowed, or None.
        features, predictions: the images whose features, or predictions, those of the recent ones were compared with.
        cached: hits and misses of the feature cache.
    """

    run: Path
    images: int
    compared: int
    drifted: bool
    score: float
    tests: dict[str, dict[str, Any]]
    maximum: float | None
    features: Reference
    predictions: Reference
    cached: dict[str, int]

    @property
    def passed(self) -> bool:
        return self.maximum is None or self.score <= self.maximum

    def as_json(self) -> dict[str, Any]:
        return {
            "run": str(self.run),
            "images": self.images,
            "compared": self.compared,
            "drifted": self.drifted,
            "score": self.score,
            "tests": self.tests,
            "max": self.maximum,
            "passed": self.passed,
            "reference": {"features": asdict(self.features), "predictions": asdict(self.predictions)},
            "cache": {"features": self.cached},
        }


def data_drift(request: DriftRequest, reporter: Reporter) -> DriftResult:
    """Measure the drift of the images in a folder; a score above the maximum is in the result and does not raise."""
    run = StoredRun.find(request.run, request.runs, reporter)
    return measure_drift(run, request.folder, maximum=request.maximum)


def measure_drift(run: StoredRun, recent: Path | Split, *, maximum: float | None) -> DriftResult:
    """Measure the drift of recent images.

    Features are compared with those of the training images where the base was frozen. To a base that was trained, what
    it has learnt looks unlike all else, so the images held out from it stand in; and a head is surer of what it has
    learnt, so predictions are always compared with those for held-out images: test, or validation where those are few.

    Args:
        recent: a folder of images, or a split already read as the run's model looks at them; its labels are not used.

    Raises DataError where the folder has no image, or the run's own are gone.
    """
    split, images = _recent(run, recent)
    if len(split) < FEW:
        run.reporter.warning(f"only {counted(len(split), 'image')}: only a plain drift shows in fewer than {FEW}")
    held_out = _held_out(run)
    learnt = held_out if base_trained(run.record.phases) else _recorded(run, "train")
    sight = Sight(run)
    old, new = sight.all_of(held_out), sight.all_of(split)
    if learnt is not held_out:
        old = ModelOutputs(sight.features(learnt), old.probabilities)
    found = detect_shift(old, new, run.config.seed)
    return DriftResult(
        run=run.path,
        images=images,
        compared=len(split),
        **found,
        maximum=maximum,
        features=Reference(learnt.name, len(learnt)),
        predictions=Reference(held_out.name, len(held_out)),
        cached=sight.counts(),
    )


def drift_since(run: StoredRun, dataset: Dataset) -> dict[str, Any] | None:
    """The drift of the images, on any side, that a run did not have, by their content; None where none has come.

    It names no path, as it is logged.
    """
    known = {one.sha256 for one in run.images}
    came = [replace(one, split=NEW) for one in dataset.records if one.split and one.sha256 not in known]
    if not came:
        return None
    split = load_recorded_split(came, dataset.root, NEW, dataset.labels, run.reading)
    measured = measure_drift(run, split, maximum=None).as_json()
    del measured["run"]
    return measured


def base_trained(phases: Sequence[Mapping[str, Any]]) -> bool:
    """Whether one of a run's recorded phases changed the base."""
    return any(phase["unfreeze"] not in ("none", 0) for phase in phases)


def _recent(run: StoredRun, recent: Path | Split) -> tuple[Split, int]:
    """The images to look at, and how many there were to choose from."""
    if isinstance(recent, Split):
        return _some_of(recent, run.config.seed), len(recent)
    items = list_unlabelled(recent)
    chosen = [items[row] for row in sample_indices(len(items), MAX_IMAGES, run.config.seed)]
    return load_unlabelled(chosen, run.reading), len(items)


def _some_of(split: Split, seed: int) -> Split:
    rows = sample_indices(len(split), MAX_IMAGES, seed)
    return replace(
        split,
        paths=tuple(split.paths[row] for row in rows),
        targets=split.targets[rows],
        images=SelectedRows(split.images, rows),
        sha256s=tuple(split.sha256s[row] for row in rows),
        sizes=(),
    )


def _held_out(run: StoredRun) -> Split:
    sides = {side: sum(one.split == side and not one.problem for one in run.images) for side in HELD_OUT}
    enough = [side for side in HELD_OUT if sides[side] >= FEW]
    return _recorded(run, enough[0] if enough else max(HELD_OUT, key=sides.__getitem__))


def _recorded(run: StoredRun, side: str) -> Split:
    """At most `MOST` images of one side of the run; those whose files are gone since are passed over, and told."""
    root, wanted = run.config.data.train, [one for one in run.images if one.split == side and not one.problem]
    if not keras_datasets.is_keras(root):
        base = base_folder(root)
        there = [one for one in wanted if os.path.isfile(absolute(one.path, base))]  # noqa: PTH113 - as check_exists
        if len(there) < len(wanted):
            run.reporter.warning(
                f"{len(wanted) - len(there)} of the run's {counted(len(wanted), f'{side} image')} are gone"
            )
        wanted = there
    if not wanted:
        raise DataError(f"the run's {side} images are gone: there is nothing to compare with", "put them back")
    chosen = [wanted[row] for row in sample_indices(len(wanted), MAX_IMAGES, run.config.seed)]
    return load_recorded_split(chosen, root, side, run.labels, run.reading)
