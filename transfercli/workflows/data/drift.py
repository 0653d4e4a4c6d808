"""Workflow of `data drift`: measure the distribution shift between a run's images and recent images without labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transfercli.data.archive_members import exists
from transfercli.data.clusters import count_clusters
from transfercli.data.dataset import Split
from transfercli.data.load import load_recorded_split
from transfercli.data.sources import keras_datasets
from transfercli.data.sources.folders import Item, absolute
from transfercli.data.sources.groups import groups_if_any, is_expression
from transfercli.data.sources.listing import base_folder
from transfercli.data.sources.table_format import TableFormat
from transfercli.data.unlabelled_images import list_unlabelled, load_unlabelled
from transfercli.errors import DataError
from transfercli.evaluation.monitoring.log_folder import logs_among
from transfercli.evaluation.statistics.shift_tests import MAX_IMAGES, ModelOutputs, detect_shift, sample_indices
from transfercli.io.addresses import is_remote
from transfercli.reporting import Reporter
from transfercli.text import counted, first_of
from transfercli.workflows.data.image_features import ImageFeatures
from transfercli.workflows.regression import refuse_numbers
from transfercli.workflows.stored_run import StoredRun

if TYPE_CHECKING:
    from transfercli.data.dataset import Dataset

FEW_IMAGES = 10  # with fewer, only a large drift is detected
NEW_SPLIT = "new"  # of the images that were added since a run
HELD_OUT = ("test", "validation")


@dataclass(frozen=True)
class DriftRequest:
    """Arguments of `data drift`.

    Attributes:
        run: RUN of the command line.
        folder: folder of recent images, at any depth.
        maximum: largest score allowed, or None.
        max_bad: largest fraction of unreadable images accepted; None for that of the run's config.
    """

    run: str
    folder: Path
    runs: Path
    maximum: float | None = None
    max_bad: float | None = None


@dataclass(frozen=True)
class Reference:
    """Images of the run that recent images are compared with.

    split: its name; images: their number; groups: number of their independent groups, None if no image has one
    """

    split: str
    images: int
    groups: int | None = None

    @classmethod
    def of(cls, split: Split) -> Reference:
        return cls(split.name, len(split), count_clusters(split.groups))


@dataclass(frozen=True)
class DriftResult:
    """Result of `data drift`.

    Attributes:
        run: the run folder.
        images: number of recent images.
        compared: number of recent images that were compared: all, or a random sample of them.
        groups: number of independent groups of these, None if no image has one.
        drifted, score, tests: as `evaluation.statistics.shift_tests.detect_shift` returns them.
        maximum: largest score allowed, or None.
        features: images of the run whose features were the reference.
        predictions: images of the run whose predictions were the reference.
        cached: hits and misses of the feature cache.
    """

    run: Path
    images: int
    compared: int
    groups: int | None
    drifted: bool
    score: float
    tests: dict[str, dict[str, Any]]
    maximum: float | None
    features: Reference
    predictions: Reference
    cached: dict[str, int]

    @property
    def passed(self) -> bool:
        """True if the score is not above the maximum."""
        return self.maximum is None or self.score <= self.maximum

    def as_json(self) -> dict[str, Any]:
        return {
            "run": str(self.run),
            "images": self.images,
            "compared": self.compared,
            "groups": self.groups,
            "drifted": self.drifted,
            "score": self.score,
            "tests": self.tests,
            "max": self.maximum,
            "passed": self.passed,
            "reference": {"features": asdict(self.features), "predictions": asdict(self.predictions)},
            "cache": {"features": self.cached},
        }


def data_drift(request: DriftRequest, reporter: Reporter) -> DriftResult:
    """Measure the drift of the images in a folder; a score above the maximum is part of the result, not an error."""
    run = StoredRun.find(request.run, request.runs, reporter)
    refuse_numbers(run.config.task, "data drift")
    run.accept_bad(request.max_bad)
    return measure_drift(run, request.folder, maximum=request.maximum)


def measure_drift(run: StoredRun, recent: Path | Split, *, maximum: float | None) -> DriftResult:
    """Measure the drift of recent images.

    If the base was frozen, features are compared with those of the training images. The features that a trained base
    computes for its own training images differ from those of all other images, so held-out images are the reference
    then. A head is more confident on its training images, so predictions are always compared with those of held-out
    images: the test images, or the validation images if there are too few. Groups of images in a folder are those of
    the run's `data.group`, if it is a regular expression.

    Args:
        recent: a folder of images, or a split that was read at the size that the run's model takes; its labels are
            not used.
        maximum: largest score allowed, or None.

    Raises `DataError` if the folder has no image, or if the files of the run's own images are missing.
    """
    split, images = load_recent(run, recent)
    extractor = ImageFeatures(run)
    result = drift_of_outputs(run, extractor, extractor.outputs(split), images)
    return replace(result, maximum=maximum)


def drift_of_outputs(run: StoredRun, extractor: ImageFeatures, recent: ModelOutputs, images: int) -> DriftResult:
    """Measure the drift of recent images by the outputs of the run's model. images: number of all of them."""
    if len(recent.probabilities) < FEW_IMAGES:
        run.reporter.warning(
            f"only {counted(len(recent.probabilities), 'image')}: with fewer than {FEW_IMAGES}, only a large drift is"
            " detected"
        )
    held_out = _held_out(run)
    reference = held_out if base_trained(run.record.phases) else load_recorded(run, "train")
    old = extractor.outputs(held_out)
    if reference is not held_out:
        old = replace(old, features=extractor.features(reference), feature_groups=reference.groups)
    return DriftResult(
        run=run.path,
        images=images,
        compared=len(recent.probabilities),
        groups=count_clusters(recent.groups),
        **detect_shift(old, recent, run.config.seed),
        maximum=None,
        features=Reference.of(reference),
        predictions=Reference.of(held_out),
        cached=extractor.cache_counts(),
    )


def drift_since(run: StoredRun, dataset: Dataset) -> dict[str, Any] | None:
    """Return the drift of the images, in any split, whose content a run did not have; None if there are none.

    The result is logged, so it has no path.
    """
    known = {image.sha256 for image in run.images}
    new = [replace(image, split=NEW_SPLIT) for image in dataset.records if image.split and image.sha256 not in known]
    if not new:
        return None
    root, several = dataset.root, run.several
    split = load_recorded_split(new, root, NEW_SPLIT, dataset.labels, run.reading, several=several)
    result = measure_drift(run, split, maximum=None).as_json()
    del result["run"]
    return result


def base_trained(phases: Sequence[Mapping[str, Any]]) -> bool:
    """Return True if one of a run's recorded phases trained a part of the base."""
    return any(phase["unfreeze"] not in ("none", 0) for phase in phases)


def load_recent(run: StoredRun, recent: Path | Split) -> tuple[Split, int]:
    """Return at most `MAX_IMAGES` recent images, chosen at random, and the number of all.

    Raises `DataError` for a folder without images, or with an answer log.
    """
    if isinstance(recent, Split):
        return recent.at(sample_indices(len(recent), MAX_IMAGES, run.config.seed)), len(recent)
    _check_no_log(recent)
    items = list_unlabelled(recent, run.reading)
    chosen = [items[row] for row in sample_indices(len(items), MAX_IMAGES, run.config.seed)]
    return load_unlabelled(chosen, run.reading, _groups(run, chosen)), len(items)


def _check_no_log(folder: Path) -> None:
    """Raise `DataError` if a folder has answer logs: the images that they keep are the least sure of all."""
    logs = [] if is_remote(str(folder)) or not folder.is_dir() else logs_among(folder)
    if logs:
        raise DataError(
            f"{folder} is no folder of recent images: it has the images that"
            f" {first_of(list(map(str, logs)), 5)} kept, which are those that a model was least sure of",
            f"name a folder without a log, or the log itself: transfercli monitor RUN {logs[0]}",
        )


def _groups(run: StoredRun, items: Sequence[Item]) -> dict[str, str]:
    """Return the groups of recent images by the run's `data.group`; warn if it gives none."""
    group = TableFormat.of(run.config.data).group
    if group is None or is_expression(group, run.images):
        return groups_if_any(group, items, run.reporter)
    run.reporter.warning(
        f"the recent images are taken as independent of each other: data.group {group!r} is a column of the run's table"
    )
    return {}


def _held_out(run: StoredRun) -> Split:
    """Return the first split of `HELD_OUT` with `FEW_IMAGES` or more, else the larger one."""
    counts = {name: sum(image.split == name and not image.problem for image in run.images) for name in HELD_OUT}
    large_enough = [name for name in HELD_OUT if counts[name] >= FEW_IMAGES]
    return load_recorded(run, large_enough[0] if large_enough else max(HELD_OUT, key=counts.__getitem__))


def load_recorded(run: StoredRun, name: str, most: int = MAX_IMAGES) -> Split:
    """Return at most `most` images of a split of the run, chosen at random; warn of files that are missing.

    Raises `DataError` if all are missing.
    """
    root = run.config.data.train
    usable = [image for image in run.images if image.split == name and not image.problem]
    if not keras_datasets.is_keras(root):
        base = base_folder(root)
        present = [
            image for image in usable if is_remote(root) or is_remote(image.path) or exists(absolute(image.path, base))
        ]
        if len(present) < len(usable):
            missing = len(usable) - len(present)
            run.reporter.warning(f"{missing} of the run's {counted(len(usable), f'{name} image')} are missing")
        usable = present
    if not usable:
        raise DataError(f"all {name} images of the run are missing: there is nothing to compare with", "restore them")
    chosen = [usable[row] for row in sample_indices(len(usable), most, run.config.seed)]
    return load_recorded_split(chosen, root, name, run.labels, run.reading, run.max_lost, several=run.several)
