"""Workflow of `runs why`: attribute the difference between two runs to the changes between them.

Both runs are measured on the test images of the second. Then linear heads are solved on the cached features of a frozen
network, with and without each change of the training images, of the class weights and of the network
(`head_effects.py`). The part that these heads do not explain is a part of its own, so that all sum to the difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from transfercli.data.dataset import Record
from transfercli.errors import DataError
from transfercli.reporting import Reporter
from transfercli.text import counted, first_of
from transfercli.workflows.compare.attribution import Part, Remainder, Seed, WhyRequest, WhyResult
from transfercli.workflows.compare.compare import config_differences
from transfercli.workflows.compare.config_effects import CLASS_WEIGHTS, NETWORK, effect_of_key
from transfercli.workflows.compare.recorded_features import (
    RecordedFeatures,
    Source,
    recorded_features,
    remaining_splits,
)
from transfercli.workflows.compare.training_changes import Change, Group, grouped, training_changes
from transfercli.workflows.data.image_features import ImageFeatures
from transfercli.workflows.lineage import learnt_from
from transfercli.workflows.stored_run import StoredRun

if TYPE_CHECKING:
    from transfercli.evaluation.predictions import Predictions
    from transfercli.workflows.compare.head_effects import Game, HeadEffects
    from transfercli.workflows.compare.networks import Networks

MAX_LOST = 0.1  # of the images of a kind; with more, the heads are not those of the runs
SHOWN_IMAGES = 5


@dataclass(frozen=True)
class Material:
    """All that is known of two runs before a head is solved.

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


def explain_difference(request: WhyRequest, reporter: Reporter) -> WhyResult:
    """Attribute the difference between two runs in a metric to changes of images, config and seed.

    Raises `DataError` if no test image is left that neither run learnt from, or if too many images are gone, from disk
    and from the image cache.
    """
    first = StoredRun.find(request.first, request.runs, reporter)
    second = StoredRun.find(request.second, request.runs, reporter)
    material = read_material(first, second, reporter)
    from transfercli.evaluation.statistics.paired import compare
    from transfercli.workflows.compare.head_effects import measure_effects, widened

    config = [
        {"key": row["key"], "a": row["champion"], "b": row["challenger"]}
        | {"effect": effect_of_key(row["key"], material.networks.kind)}
        for row in config_differences(first, second)
    ]
    game, groups = set_up_game(material, config, request.metric)
    effects = measure_effects(game, reporter)
    compared = compare(*material.predictions, metric=request.metric, seed=game.seed)
    before, after = (game.score(each.probabilities, game.resamples) for each in material.predictions)
    rest = after - before - effects.total
    return WhyResult(
        first=first.path,
        second=second.path,
        metric=request.metric,
        images=len(material.test),
        values=(compared.decisive.champion, compared.decisive.challenger),
        interval=compared.decisive.interval,
        verdict=compared.outcome(request.metric),
        parts=_parts(game, groups, effects, config),
        seed=Seed(first.config.seed, second.config.seed, _plain(effects.spread)),
        unexplained=Remainder(_rest_text(material), _plain(float(rest[0])), widened(rest)),
        config=config,
        network=material.networks.kind,
        solves=effects.solves,
        strengths=effects.strengths,
        cached=material.cached,
        lost=material.lost,
    )


# -- images


def read_material(first: StoredRun, second: StoredRun, reporter: Reporter) -> Material:
    """Read the images and features of two runs, and predict the test images with both."""
    labels = second.labels + tuple(label for label in first.labels if label not in second.labels)
    test = honest_test_images(first, second, reporter)
    extractors = ImageFeatures(first), ImageFeatures(second)  # sets the backend up, before an import of Keras
    from transfercli.workflows.compare.networks import choose_networks

    networks = choose_networks(*extractors, reporter)
    predictions = [_predict(extractor, Source(second, test), labels) for extractor in extractors]
    sources = [
        Source(second, [image for image in second.images if image.split and not image.problem]),
        Source(first, [image for image in first.images if image.split == "train" and not image.problem]),
    ]
    before = recorded_features(networks.before, sources)
    after = before if networks.before is networks.after else recorded_features(networks.after, sources)
    gone = before.lost | after.lost
    rows = [{path: row for row, path in enumerate(each.paths)} for each in predictions]
    kept = [i for i in test if i.path in rows[0] and i.path in rows[1] and i.sha256 not in gone]
    _check_lost("test", second, test, [image for image in test if image not in kept], gone, reporter)
    for run in (first, second):
        training = [image for image in run.images if image.split == "train" and not image.problem]
        _check_lost("training", run, training, [i for i in training if i.sha256 in gone], gone, reporter)
    common, changes = training_changes(first.images, second.images)
    present = [c for c in changes if not any(r is not None and r.sha256 in gone for r in (c.before, c.after))]
    return Material(
        runs=(first, second),
        labels=labels,
        networks=networks,
        predictions=_aligned(predictions, rows, kept),
        test=kept,
        features=(before, after),
        common=[image for image in common if image.sha256 not in gone],
        changes=present,
        held_out=[i for i in second.images if i.split == "validation" and not i.problem and i.sha256 not in gone],
        lost={"test": len(test) - len(kept), "changes": len(changes) - len(present)},
        cached=_cache_counts({id(e): e for e in (*extractors, networks.before, networks.after)}.values()),
    )


def honest_test_images(first: StoredRun, second: StoredRun, reporter: Reporter) -> list[Record]:
    """Return the test images of the second run that neither run nor an ancestor learnt from.

    Raises `DataError` if there is none.
    """
    images = [image for image in second.images if image.split == "test" and not image.problem]
    learnt = learnt_from(first, second, reporter=reporter)
    honest = [image for image in images if not learnt.has(image.sha256)]
    if not honest:
        reason = "a run or an ancestor learnt from each of them" if images else "there are none"
        raise DataError(f"no test image of {second.label} to compare the runs on: {reason}", "set data.test")
    if left_out := len(images) - len(honest):
        reporter.warning(f"{counted(left_out, 'test image')} left out: a run or an ancestor learnt from them")
    return honest


def _predict(extractor: ImageFeatures, source: Source, labels: tuple[str, ...]) -> Predictions:
    """Return a run's predictions of the images that still exist; a class that the run does not have gets 0."""
    from transfercli.evaluation.predictions import Predictions

    run = extractor.run
    splits, lost = remaining_splits(source, run, labels)
    if not splits:
        reason = next(iter(lost.values()))
        raise DataError(f"all test images of {source.run.label} are gone: {reason}", "restore them")
    probabilities = np.zeros((sum(map(len, splits)), len(labels)))
    columns = [labels.index(label) for label in run.labels]
    probabilities[:, columns] = np.concatenate([extractor.outputs(split).probabilities for split in splits])
    paths = tuple(path for split in splits for path in split.paths)
    return Predictions(paths, labels, np.concatenate([split.targets for split in splits]), probabilities)


def _aligned(
    predictions: Sequence[Predictions], rows: Sequence[dict[str, int]], images: Sequence[Record]
) -> tuple[Predictions, Predictions]:
    first, second = (
        each.of(np.array([row_of[image.path] for image in images], np.int64))
        for each, row_of in zip(predictions, rows, strict=True)
    )
    return first, second


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


# -- changes


def set_up_game(material: Material, config: Sequence[dict[str, Any]], metric: str) -> tuple[Game, list[Group]]:
    """Return the game of all changes, and the groups of images that are its first players."""
    from transfercli.workflows.compare.head_effects import Game, most_players

    first, second = material.runs
    images = len(material.common) + len(material.changes)
    network = material.networks.kind == "own"
    weights = any(row["effect"] == CLASS_WEIGHTS for row in config)
    most = most_players(images, material.features[1].features.shape[1], len(material.labels)) - network - weights
    groups = grouped(material.common, material.changes, max(1, most))
    number = len(groups)
    return Game(
        rows=_training_rows(material, groups),
        players=number + network + weights,
        network=number if network else None,
        weights=number + network if weights else None,
        settings=(first.config.training, second.config.training),
        queries=(_rows_of(material.features[0], material.test), _rows_of(material.features[1], material.test)),
        truth=material.predictions[0].targets,
        metric=metric,
        seed=second.config.seed,
    ), groups


def _training_rows(material: Material, groups: Sequence[Group]) -> Any:
    from transfercli.workflows.compare.head_effects import ALWAYS, NEVER, TrainingRows

    rows = [(record, ALWAYS, True) for record in material.common]
    for number, group in enumerate(groups):
        for change in group.changes:
            rows += [(change.before, number, False)] if change.before else []
            rows += [(change.after, number, True)] if change.after else []
    rows += [(record, NEVER, True) for record in material.held_out]
    records = [record for record, _, _ in rows]
    index_of = {label: index for index, label in enumerate(material.labels)}
    return TrainingRows(
        features=(_rows_of(material.features[0], records), _rows_of(material.features[1], records)),
        targets=np.array([index_of[record.label] for record in records]),
        player=np.array([player for _, player, _ in rows]),
        joins=np.array([joins for _, _, joins in rows]),
        labels=material.labels,
    )


def _rows_of(features: RecordedFeatures, records: Sequence[Record]) -> np.ndarray:
    return features.features[[features.row_of[record.sha256] for record in records]]


def _parts(
    game: Game, groups: Sequence[Group], effects: HeadEffects, config: Sequence[dict[str, Any]]
) -> tuple[Part, ...]:
    """Return the parts of the difference, the largest first."""
    parts = []
    for number, effect in enumerate(effects.changes):
        value = _plain(effect.value)
        if number < len(groups):
            group = groups[number]
            names = (group.label, group.new_label, group.folder, len(group.changes))
            parts.append(Part(group.kind, group.text, value, effect.interval, *names))
        else:
            kind = NETWORK if number == game.network else CLASS_WEIGHTS
            keys = tuple(row["key"] for row in config if row["effect"] == kind)
            parts.append(Part(kind, ", ".join(keys) or kind, value, effect.interval, keys=keys))
    return tuple(sorted(parts, key=lambda part: -abs(part.contribution or 0.0)))


def _rest_text(material: Material) -> str:
    """Return the likely reasons for a difference that the solved heads do not explain."""
    if material.networks.kind in ("start", "first"):
        return "training of the base and the rest"
    phases = [phase for run in material.runs for phase in run.record.phases]
    if any(phase.get("kind", "train") == "train" for phase in phases):
        return "training of the head by gradients and the rest"
    return "penalty of the head and the rest"


def _plain(value: float) -> float | None:
    return value if np.isfinite(value) else None
