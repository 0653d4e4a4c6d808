"""Workflow of `runs why`: attribute the difference between two runs to the changes between them.

Both runs are measured on the test images of the second. Then linear heads are solved on the cached features of a frozen
network, with and without each change of the training images, of the class weights and of the network
(`head_effects.py`). The part that these heads do not explain is a part of its own, so that all sum to the difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from transfercli.data.clusters import cluster_indices
from transfercli.data.dataset import Record
from transfercli.evaluation.statistics.paired import compare
from transfercli.reporting import Reporter
from transfercli.workflows.answers import metric_of_task, refuse_several
from transfercli.workflows.compare.attribution import Part, Remainder, Seed, WhyRequest, WhyResult
from transfercli.workflows.compare.compare import config_differences
from transfercli.workflows.compare.compared_images import ComparedImages, read_compared_images
from transfercli.workflows.compare.config_effects import CLASS_WEIGHTS, NETWORK, effect_of_key
from transfercli.workflows.compare.head_effects import (
    ALWAYS,
    NEVER,
    Game,
    HeadEffects,
    TrainingRows,
    measure_effects,
    most_players,
)
from transfercli.workflows.compare.recorded_features import RecordedFeatures
from transfercli.workflows.compare.training_changes import Group, grouped
from transfercli.workflows.regression import refuse_numbers
from transfercli.workflows.stored_run import StoredRun


def explain_difference(request: WhyRequest, reporter: Reporter) -> WhyResult:
    """Attribute the difference between two runs in a metric to changes of images, config and seed.

    Raises `UsageError` if an image may have several labels, or if the metric is not one of the task, and `DataError` if
    no test image is left that neither run learnt from, or if too many images are gone, from disk and from the image
    cache.
    """
    first = StoredRun.find(request.first, request.runs, reporter)
    second = StoredRun.find(request.second, request.runs, reporter)
    for run in (first, second):
        refuse_numbers(run.config.task, "runs why")
        refuse_several(run, "runs why", "it explains the difference by heads that are solved for one class per image")
        metric_of_task(request.metric, run)
    if first.auxiliary or second.auxiliary:
        reporter.warning("unlabelled and related images are not among the changes: their part is in the rest")
    compared = read_compared_images(first, second, reporter)
    config = [
        {"key": row["key"], "a": row["champion"], "b": row["challenger"]}
        | {"effect": effect_of_key(row["key"], compared.networks.kind)}
        for row in config_differences(first, second)
    ]
    game, groups = set_up_game(compared, config, request.metric)
    effects = measure_effects(game, reporter)
    difference = compare(*compared.predictions, metric=request.metric, seed=game.seed)
    before, after = (game.score(each.probabilities, game.resamples) for each in compared.predictions)
    rest = after - before - effects.total
    return WhyResult(
        first=first.path,
        second=second.path,
        metric=request.metric,
        images=len(compared.test),
        values=(difference.decisive.champion, difference.decisive.challenger),
        interval=difference.decisive.interval,
        verdict=difference.outcome(request.metric),
        parts=_parts(game, groups, effects, config),
        seed=Seed(first.config.seed, second.config.seed, _plain(effects.spread)),
        unexplained=Remainder(_rest_text(compared), _plain(float(rest[0])), game.widened(rest)),
        config=config,
        network=compared.networks.kind,
        solves=effects.solves,
        strengths=effects.strengths,
        cached=compared.cached,
        lost=compared.lost,
    )


def set_up_game(compared: ComparedImages, config: Sequence[dict[str, Any]], metric: str) -> tuple[Game, list[Group]]:
    """Return the game of all changes, and the groups of images that are its first players."""
    first, second = compared.runs
    images = len(compared.common) + len(compared.changes)
    network = compared.networks.kind == "own"
    weights = any(row["effect"] == CLASS_WEIGHTS for row in config)
    most = most_players(images, compared.features[1].features.shape[1], len(compared.labels)) - network - weights
    groups = grouped(compared.common, compared.changes, max(1, most))
    number = len(groups)
    return Game(
        rows=_training_rows(compared, groups),
        players=number + network + weights,
        network=number if network else None,
        weights=number + network if weights else None,
        settings=(first.config.training, second.config.training),
        queries=(_rows_of(compared.features[0], compared.test), _rows_of(compared.features[1], compared.test)),
        truth=compared.predictions[0].targets,
        metric=metric,
        seed=second.config.seed,
        of_image=cluster_indices(compared.predictions[0].groups),
    ), groups


def _training_rows(compared: ComparedImages, groups: Sequence[Group]) -> TrainingRows:
    rows = [(record, ALWAYS, True) for record in compared.common]
    for number, group in enumerate(groups):
        for change in group.changes:
            rows += [(change.before, number, False)] if change.before else []
            rows += [(change.after, number, True)] if change.after else []
    rows += [(record, NEVER, True) for record in compared.held_out]
    rows.sort(key=lambda row: row[0].path)  # the order in a training, on which the folds of a cross-validation depend
    records = [record for record, _, _ in rows]
    index_of = {label: index for index, label in enumerate(compared.labels)}
    return TrainingRows(
        features=(_rows_of(compared.features[0], records), _rows_of(compared.features[1], records)),
        targets=np.array([index_of[record.label] for record in records]),
        player=np.array([player for _, player, _ in rows]),
        joins=np.array([joins for _, _, joins in rows]),
        labels=compared.labels,
        groups=tuple(record.group for record in records) if any(record.group for record in records) else (),
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


def _rest_text(compared: ComparedImages) -> str:
    """Return the likely reasons for a difference that the solved heads do not explain."""
    if compared.networks.kind in ("start", "first"):
        return "training of the base and the rest"
    phases = [phase for run in compared.runs for phase in run.record.phases]
    if any(phase.get("kind", "train") == "train" for phase in phases):
        return "training of the head by gradients and the rest"
    return "the rest"


def _plain(value: float) -> float | None:
    return value if np.isfinite(value) else None
