"""Unlabelled images of the labelled images' own domain: labels spread to them, and they train with these."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from transfercli.reporting import Reporter
from transfercli.rows import ArrayRows
from transfercli.text import counted
from transfercli.transfer.adapt.decision import Decision, Trial
from transfercli.transfer.adapt.domain import Adaptation, logits_of
from transfercli.transfer.adapt.gain import Gain
from transfercli.transfer.adapt.propagation import neighbour_graph
from transfercli.transfer.probe.cross_validation import OutOfFold, cross_validate, figures
from transfercli.transfer.probe.folding import folds_of
from transfercli.transfer.probe.multilayer import FeatureLayers, LinearProblem, solve_layers

# Limits within which spread labels helped more than they harmed (benchmarks/RESULTS.md, "Adaptation"); what they lost
# beyond these, a cross-validation on so few images does not see.
MOST_LABELS = 10  # labelled images a class
LEAST_CONFIDENCE = 0.2  # mean of all unlabelled images: below, the classes are no groups in the features


def with_spread_labels(found: Adaptation, target: np.ndarray) -> Adaptation:
    """Return the labelled images and the unlabelled ones with labels, if cross-validation shows a gain.

    found: the labelled images as they are, and the decision so far; target: normalised features, float32 [M, D]. In
    each fold, labels spread only from the other folds' images.
    """
    labelled, layers, decision = found.problem, found.layers, found.decision
    count = len(labelled.targets)
    every = np.ones(count, bool)
    held_out = every if labelled.held_out is None else labelled.held_out
    if count > MOST_LABELS * len(np.unique(labelled.targets)):
        return _kept(found, f"labels do not spread to them, as there are more than {MOST_LABELS} a class")
    fold_of = folds_of(labelled.targets, held_out, labelled.unit_of(), labelled.seed)
    if fold_of is None:
        return _kept(found, "labels do not spread, as nothing can be cross-validated: a class has a single image")
    spread = SpreadLabels(labelled, target)
    confidence = spread.labels(every)[1].mean()
    if confidence < LEAST_CONFIDENCE:
        reason = f"the classes are no clear groups in them: mean confidence {confidence:.2f}, below {LEAST_CONFIDENCE}"
        return _kept(found, f"labels do not spread, as {reason}")
    plain = cross_validate(labelled, layers, Reporter())
    validated = _out_of_fold(spread, layers, fold_of)
    both = np.isfinite(validated.losses) & np.isfinite(plain.losses)
    hits = validated.hits[both].astype(np.float64) - plain.hits[both]
    gain = Gain((plain.losses - validated.losses)[both], hits)
    accuracy = validated.accuracy
    before = replace(decision.tried[0], accuracy=plain.accuracy, accuracy_error=plain.accuracy_error, loss=plain.loss)
    after = Trial("propagation", accuracy, validated.accuracy_error, validated.loss)
    tried = replace(decision, tried=(before, after))
    figures = f"cross-validated accuracy {plain.accuracy:.3f} without and {accuracy:.3f} with them"
    if not gain.shown_by_hits:
        return _kept(replace(found, decision=tried), f"labels that spread to them bring no clear gain: {figures}")
    images = counted(len(target), "unlabelled image")
    text = f"labels spread to {images} of the same domain: {figures}"
    chosen = replace(tried, chosen="propagation", text=text)
    return Adaptation(spread.problem(every), layers, chosen, validated)


def _kept(found: Adaptation, reason: str) -> Adaptation:
    decision: Decision = replace(found.decision, text=f"{found.decision.text}; {reason}")
    return replace(found, decision=decision)


def _out_of_fold(spread: SpreadLabels, layers: FeatureLayers, fold_of: np.ndarray) -> OutOfFold:
    """Return the predictions of each labelled image by the other folds and the labels that spread from these."""
    labelled, rows = spread.labelled, spread.rows
    logits = np.full((len(fold_of), labelled.classes), np.nan, np.float32)
    for fold in range(int(fold_of.max()) + 1):
        held = fold_of == fold
        head = solve_layers(spread.problem(~held), layers, Reporter())
        logits[held] = logits_of(head, rows[: len(held)][held])
    return figures(labelled, logits, labelled.losses(logits)[0])


class SpreadLabels:
    """Problems of the labelled images and of unlabelled ones with the labels that spread to them."""

    def __init__(self, labelled: LinearProblem, target: np.ndarray) -> None:
        self.labelled, self.count = labelled, len(labelled.targets)
        self.rows = np.concatenate([labelled.features.read(np.arange(self.count)), target])
        self.graph = neighbour_graph(self.rows)

    def labels(self, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the class of each unlabelled image, int [M], and its confidence, float64 [M], as `Graph.spread`.

        known: bool [N], the labelled images whose labels spread.
        """
        others = len(self.rows) - self.count
        targets = np.concatenate([self.labelled.targets, np.zeros(others, self.labelled.targets.dtype)])
        labelled = np.concatenate([known, np.zeros(others, bool)])
        classes, confidence = self.graph.spread(targets, labelled, self.labelled.classes)
        return classes[self.count :], confidence[self.count :]

    def problem(self, known: np.ndarray) -> LinearProblem:
        """Return the problem if only the labels of `known`, bool [N], are known; other labelled images are left out.

        An unlabelled image counts by its confidence, and all of them at most as much as the labelled ones.
        """
        labelled, count = self.labelled, self.count
        classes, confidence = self.labels(known)
        own = np.ones(count) if labelled.weights is None else labelled.weights
        held_out = np.ones(count, bool) if labelled.held_out is None else labelled.held_out
        most = own[known].sum() / max(confidence.sum(), np.finfo(np.float64).tiny)
        weights = np.concatenate([own, min(1.0, most) * confidence])
        used = np.flatnonzero(np.concatenate([known, confidence > 0]))
        groups = [*labelled.groups, *([""] * len(classes))] if labelled.groups else []
        return replace(
            labelled,
            features=ArrayRows(self.rows[used]),
            targets=np.concatenate([labelled.targets, classes])[used],
            groups=[groups[row] for row in used] if groups else (),
            weights=weights[used],
            held_out=np.concatenate([held_out, np.zeros(len(classes), bool)])[used],
        )
