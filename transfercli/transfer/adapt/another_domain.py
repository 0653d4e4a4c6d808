"""Labels of one domain for another: the labelled images are aligned with the target's unlabelled ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from transfercli.reporting import Reporter
from transfercli.transfer.adapt.alignment import Kind, align
from transfercli.transfer.adapt.decision import Decision, Trial
from transfercli.transfer.adapt.domain import Adaptation, Setting, logits_of, moved_rows, sample
from transfercli.transfer.adapt.shift import class_ratios, measure_shift
from transfercli.transfer.probe.multilayer import FeatureLayers, LinearProblem, solve_layers

# Share of the target's images whose predicted class an alignment must change. A smaller change cannot gain much, and
# all losses of two points or more were among these (benchmarks/RESULTS.md, "Adaptation").
LEAST_CHANGE = 0.125


def aligned_with(labelled: LinearProblem, layers: FeatureLayers, target: np.ndarray, setting: Setting) -> Adaptation:
    """Return the labelled images aligned with the target's, if the domains differ and a gain is shown.

    labelled: with normalised features; target: normalised features, float32 [M, D]. A named alignment is used in any
    case.
    """
    head = solve_layers(labelled, layers, Reporter())
    logits = logits_of(head, target)
    rows = sample(len(labelled.targets), labelled.seed)
    source, targets = labelled.features.read(rows), labelled.targets[rows]
    ratios = class_ratios(targets, logits.argmax(axis=1), labelled.classes)
    output = layers.part(len(layers.names) - 1)
    shift = measure_shift(source[:, output], target[:, output], ratios, labelled.seed)
    before = information(logits)
    found = f"AUC of a classifier of the two domains: {shift.area:.2f} ± {shift.error:.2f}, 0.5 is chance"
    decision = Decision("another domain", "none", "", (Trial("none", information=before),), shift.area, shift.error)
    if not shift.shown and setting in ("auto", "none"):
        text = f"no alignment: labelled and unlabelled images are of one domain ({found})"
        return Adaptation(labelled, layers, replace(decision, case="same domain", text=text))
    if setting == "none":
        text = (
            "no alignment, as transfer.align is none or layers train after the head; but the unlabelled images are of"
            f" another domain ({found})"
        )
        return Adaptation(labelled, layers, replace(decision, text=text))
    kind: Kind = "moments" if setting == "auto" else setting
    aligned = _moved(labelled, layers, kind, source, target, None)
    # Which classes are more frequent in the target is known only now; means over other shares are of other images.
    head = solve_layers(aligned, layers, Reporter())
    ratios = class_ratios(targets, logits_of(head, target).argmax(axis=1), labelled.classes)
    aligned = _moved(labelled, layers, kind, source, target, ratios)
    moved = logits_of(solve_layers(aligned, layers, Reporter()), target)
    after, changed = information(moved), float((moved.argmax(axis=1) != logits.argmax(axis=1)).mean())
    decision = replace(decision, tried=(*decision.tried, Trial(kind, information=after)))
    figures = (
        f"{found}; mutual information of images and predictions, higher is better: {before:.2f} nats without,"
        f" {after:.2f} with {kind}, which changes {changed:.0%} of the classes"
    )
    if setting == "auto" and (after <= before or changed < LEAST_CHANGE):
        reason = "no gain is shown" if after <= before else "it would change too little for a gain that is sure"
        return Adaptation(labelled, layers, replace(decision, text=f"no alignment: {reason} ({figures})"))
    why = "which are of another domain" if shift.shown else "as transfer.align says"
    text = f"the labelled images get the {NAMES[kind]} of the unlabelled ones, {why} ({figures})"
    return Adaptation(aligned, layers, replace(decision, chosen=kind, text=text))


NAMES: dict[Kind, str] = {"centre": "means", "moments": "means and variances", "coral": "means and covariances"}


def _moved(
    labelled: LinearProblem,
    layers: FeatureLayers,
    kind: Kind,
    source: np.ndarray,
    target: np.ndarray,
    weights: np.ndarray | None,
) -> LinearProblem:
    """Return the labelled images in the target's place; the alignment is that of the sample `source`."""
    alignment = align(kind, source, target, layers.widths, weights)
    return replace(labelled, features=moved_rows(labelled.features, alignment))


def information(logits: np.ndarray) -> float:
    """Return the mutual information of images and their predicted classes, in nats, of logits [N, C].

    It is the entropy of the mean prediction less the mean entropy of the predictions (Bridle et al. 1992, "Unsupervised
    classifiers, mutual information and phantom targets"): large if predictions are sure and spread over the classes.
    """
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True), dtype=np.float64)
    shares = exponentials / exponentials.sum(axis=1, keepdims=True)
    return float(_entropy(shares.mean(axis=0, keepdims=True))[0] - _entropy(shares).mean())


def _entropy(shares: np.ndarray) -> np.ndarray:
    """Return the entropy in nats, float64 [N], of shares [N, C]."""
    entropies: np.ndarray = -(shares * np.log(np.maximum(shares, np.finfo(np.float64).tiny))).sum(axis=1)
    return entropies
