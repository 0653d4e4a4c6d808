"""Related images: labelled images of other domains that train beside the target's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from transfercli.reporting import Reporter
from transfercli.rows import ChainedRows, Rows, SelectedRows
from transfercli.transfer.adapt.alignment import Kind, align
from transfercli.transfer.adapt.decision import Decision, Trial
from transfercli.transfer.adapt.domain import Adaptation, RelatedRows, Setting, moved_rows, sample
from transfercli.transfer.adapt.gain import Gain
from transfercli.transfer.adapt.shift import class_ratios
from transfercli.transfer.probe.cross_validation import OutOfFold, cross_validate
from transfercli.transfer.probe.multilayer import FeatureLayers, LinearProblem


def with_related(
    labelled: LinearProblem,
    layers: FeatureLayers,
    target: np.ndarray | None,
    related: RelatedRows,
    setting: Setting,
) -> Adaptation:
    """Return the labelled images, and related ones if cross-validation on the labelled images shows a gain.

    Of the alignments, a more complex one is used only if it shows a gain over the simpler one.

    labelled, related: with normalised features. target: normalised features of unlabelled images, float32 [M, D], or
    None. If nothing can be cross-validated, because every class has a single image, related images are used: so few
    labels teach less than any neighbour, and means of so few images are trusted only with unlabelled ones beside them.
    """
    kinds: Sequence[Kind] = ("none", "centre", "moments") if setting == "auto" else (setting,)
    plain = cross_validate(labelled, layers, Reporter())
    problems = {f"related, {kind}": _joined(labelled, layers, target, related, kind) for kind in kinds}
    tried, chosen, best = {"none": _trial("none", plain)}, "none", plain
    for name, problem in problems.items():  # the simplest first: a later one must show a gain over it
        found = cross_validate(problem, layers, Reporter())
        tried[name] = _trial(name, found)
        if _gain(best, found, len(plain.losses)).shown:
            chosen, best = name, found
    if tried["none"].loss is None:
        chosen = "related, none" if target is None else "related, centre"
        chosen = chosen if chosen in problems else next(iter(problems))
        text = "related images are used, although nothing could be compared: a class has a single image of the target"
    else:
        text = _text(tried, chosen)
    decision = Decision("related domains", chosen, text, tuple(tried.values()))
    return Adaptation(problems.get(chosen, labelled), layers, decision)


def _trial(name: str, found: OutOfFold) -> Trial:
    if not np.isfinite(found.loss):
        return Trial(name)
    return Trial(name, found.accuracy, found.accuracy_error, found.loss)


def _gain(before: OutOfFold, after: OutOfFold, count: int) -> Gain:
    """Return the gain on the target's images, which are the first `count` of both."""
    losses = before.losses[:count] - after.losses[:count]
    held = np.isfinite(losses)
    hits = after.hits[:count][held].astype(np.float64) - before.hits[:count][held]
    return Gain(losses[held], hits)


def _text(tried: dict[str, Trial], chosen: str) -> str:
    before = f"cross-validated accuracy on the target's images {tried['none'].accuracy:.3f} without"
    if chosen == "none":
        best = max(float(trial.accuracy or 0) for name, trial in tried.items() if name != "none")
        return f"no related images: no clear gain is shown; {before} and at most {best:.3f} with them"
    how = chosen.removeprefix("related, ")
    return f"related images are used (alignment: {how}): {before} and {tried[chosen].accuracy:.3f} with them"


def _joined(
    labelled: LinearProblem,
    layers: FeatureLayers,
    target: np.ndarray | None,
    related: RelatedRows,
    kind: Kind,
) -> LinearProblem:
    """Return the labelled images and, behind them, those of each related domain, aligned with them.

    Related images never validate. The labelled images together weigh as much as the related ones, if these are more.
    In the moments of a related domain, its classes have the shares that they have among the labelled images.
    """
    own = labelled.features.read(sample(len(labelled.targets), labelled.seed))
    frame = own if target is None else np.concatenate([own, target])
    parts: list[Rows] = [labelled.features]
    order = [np.flatnonzero(related.domain == domain) for domain in np.unique(related.domain)]
    for rows in order:
        some = rows[sample(len(rows), labelled.seed)]
        ratios = class_ratios(related.targets[some], labelled.targets, labelled.classes)
        alignment = align(kind, related.features.read(some), frame, layers.widths, ratios)
        parts.append(moved_rows(SelectedRows(related.features, rows), alignment))
    others, count = np.concatenate(order), len(labelled.targets)
    weights = np.ones(count) if labelled.weights is None else labelled.weights
    weights = weights * max(1.0, len(others) / weights.sum())
    held_out = np.ones(count, bool) if labelled.held_out is None else labelled.held_out
    return replace(
        labelled,
        features=ChainedRows(tuple(parts)),
        targets=np.concatenate([labelled.targets, related.targets[others]]),
        groups=[*labelled.groups, *([""] * len(others))] if labelled.groups else (),
        weights=np.concatenate([weights, np.ones(len(others))]),
        held_out=np.concatenate([held_out, np.zeros(len(others), bool)]),
    )
