"""Images on which two runs are compared and from which they learnt, with predictions and features."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from transfercli.data.dataset import Record
from transfercli.errors import DataError
from transfercli.evaluation.predictions import Predictions
from transfercli.reporting import Reporter
from transfercli.text import counted, first_of
from transfercli.workflows.compare.networks import Networks, choose_networks
from transfercli.workflows.compare.recorded_features import RecordedFeatures, recorded_features
from transfercli.workflows.compare.training_changes import Change, training_changes
from transfercli.workflows.data.image_features import ImageFeatures
from transfercli.workflows.data.remaining_images import Source, remaining_splits
from transfercli.workflows.known_images import not_learnt
from transfercli.workflows.lineage import learnt_from
from transfercli.workflows.stored_run import StoredRun

MAX_LOST = 0.1  # of the images of a kind; with more, the heads are not those of the runs
SHOWN_IMAGES = 5


@dataclass(frozen=True)
class ComparedImages:
    """Images of two runs, with all that is computed before a head is solved.

    Attributes:
        runs: the first and the second. labels: classes of both.
        predictions: of both runs, for the same test images in the same order.
        test: records of these images.
        features: of all images, by the network before and after the change of network.
        common: training images of both runs. changes: of the others. held_out: validation images of the second run.
        lost: number of images of each kind that could not be read any more.
    """

    runs: tuple[StoredRun, StoredRun]
    labels: tuple[str, ...]
    networks: Networks
    predictions: tuple[Predictions, Predictions]
    test: list[Record]
    features: tuple[RecordedFeatures, RecordedFeatures]
    common: list[Record]
    changes: list[Change]
    held_out: list[Record]
    lost: dict[str, int]
    cached: dict[str, int]


def read_compared_images(first: StoredRun, second: StoredRun, reporter: Reporter) -> ComparedImages:
    """Read the images and features of two runs, and predict the test images with both."""
    labels = second.labels + tuple(label for label in first.labels if label not in second.labels)
    test = honest_test_images(first, second, reporter)
    extractors = ImageFeatures(first), ImageFeatures(second)
    networks = choose_networks(*extractors, reporter)
    predictions = [_predict(extractor, Source(second, test), labels) for extractor in extractors]
    held_out = _usable(second, "validation")
    sources = [Source(second, [*_usable(second, "train"), *held_out, *test]), Source(first, _usable(first, "train"))]
    before = recorded_features(networks.before, sources)
    after = before if networks.before is networks.after else recorded_features(networks.after, sources)
    gone = before.lost | after.lost
    predicted = {*predictions[0].paths} & {*predictions[1].paths}
    kept = [image for image in test if image.path in predicted and image.sha256 not in gone]
    lost = [image for image in test if image.path not in predicted or image.sha256 in gone]
    _check_lost("test", second, test, lost, gone, reporter)
    for run in (first, second):
        training = _usable(run, "train")
        _check_lost("training", run, training, [i for i in training if i.sha256 in gone], gone, reporter)
    common, changes = training_changes(first.images, second.images)
    known = [c for c in changes if not any(r is not None and r.sha256 in gone for r in (c.before, c.after))]
    return ComparedImages(
        runs=(first, second),
        labels=labels,
        networks=networks,
        predictions=(_of_images(predictions[0], kept), _of_images(predictions[1], kept)),
        test=kept,
        features=(before, after),
        common=[image for image in common if image.sha256 not in gone],
        changes=known,
        held_out=[image for image in held_out if image.sha256 not in gone],
        lost={"test": len(lost), "changes": len(changes) - len(known)},
        cached=_cache_counts({id(e): e for e in (*extractors, networks.before, networks.after)}.values()),
    )


def honest_test_images(first: StoredRun, second: StoredRun, reporter: Reporter) -> list[Record]:
    """Return the test images of the second run that neither run nor an ancestor learnt from.

    Raises `DataError` if there is none.
    """
    images = _usable(second, "test")
    learnt = learnt_from(first, second, reporter=reporter)
    honest = not_learnt(second, images, learnt)
    if not honest:
        reason = "a run or an ancestor learnt from each of them" if images else "there are none"
        raise DataError(f"no test image of {second.label} to compare the runs on: {reason}", "set data.test")
    if left_out := len(images) - len(honest):
        reporter.warning(f"{counted(left_out, 'test image')} left out: a run or an ancestor learnt from them")
    return honest


def _usable(run: StoredRun, split: str) -> list[Record]:
    return [image for image in run.images if image.split == split and not image.problem]


def _predict(extractor: ImageFeatures, source: Source, labels: tuple[str, ...]) -> Predictions:
    """Return a run's predictions of the images that still exist; a class that the run does not have gets 0."""
    run = extractor.run
    splits, lost = remaining_splits(source, run, labels)
    if not splits:
        reason = next(iter(lost.values()))
        raise DataError(f"all test images of {source.run.label} are gone: {reason}", "restore them")
    probabilities = np.zeros((sum(map(len, splits)), len(labels)))
    columns = [labels.index(label) for label in run.labels]
    own = np.concatenate([extractor.outputs(split).probabilities for split in splits])
    probabilities[:, columns] = own
    answers = run.trust.answers(own)
    answers = None if answers is None else np.array(columns)[answers]
    paths = tuple(path for split in splits for path in split.paths)
    targets = np.concatenate([split.targets for split in splits])
    return Predictions(paths, labels, targets, probabilities, answers=answers)


def _of_images(predictions: Predictions, images: Sequence[Record]) -> Predictions:
    """Return the predictions of images, in their order."""
    row_of = {path: row for row, path in enumerate(predictions.paths)}
    return predictions.of(np.array([row_of[image.path] for image in images], np.int64))


def _check_lost(
    kind: str,
    run: StoredRun,
    images: Sequence[Record],
    lost: Sequence[Record],
    reasons: dict[str, str],
    reporter: Reporter,
) -> None:
    """Warn of lost images. Raises `DataError` if they are more than `MAX_LOST`."""
    if not lost:
        return
    reason = reasons.get(lost[0].sha256, "it cannot be read at the size of both networks")
    text = (
        f"{len(lost)} of {counted(len(images), f'{kind} image')} of {run.label} cannot be read any more, neither from"
        f" their files nor from the image cache: {first_of([image.path for image in lost], SHOWN_IMAGES)} ({reason})"
    )
    if len(lost) > MAX_LOST * len(images):
        raise DataError(f"{text}; at most {MAX_LOST:.0%} may be missing", "restore them, or name a newer run")
    reporter.warning(f"{text}; they are left out, and the effect of changes to them is in the unexplained part")


def _cache_counts(extractors: Iterable[ImageFeatures]) -> dict[str, int]:
    counts = [extractor.cache_counts() for extractor in extractors]
    return {name: sum(count[name] for count in counts) for name in ("hits", "misses")}
