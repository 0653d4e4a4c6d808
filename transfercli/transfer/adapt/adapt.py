"""Adaptation of a linear head to its target with unlabelled images of the target and labelled images of other domains.

Three cases, of which the features tell the first two apart. Unlabelled images of another domain than the labelled
ones: the labelled images' features are aligned with theirs. Unlabelled images of the same domain: labels spread to
them. Related images: they train beside the target's own, aligned with them. Nothing changes unless a gain is shown.
"""

from __future__ import annotations

from dataclasses import replace

from transfercli.rows import Rows
from transfercli.transfer.adapt.another_domain import aligned_with
from transfercli.transfer.adapt.decision import Decision
from transfercli.transfer.adapt.domain import Adaptation, RelatedRows, Setting, normalised_rows, read_sample
from transfercli.transfer.adapt.related_domains import with_related
from transfercli.transfer.adapt.same_domain import with_spread_labels
from transfercli.transfer.probe.multilayer import FeatureLayers, LinearProblem


def adapt(
    problem: LinearProblem,
    layers: FeatureLayers,
    unlabelled: Rows | None,
    related: RelatedRows | None,
    align: Setting,
) -> Adaptation:
    """Return the problem of the head for the target domain.

    Args:
        problem: of the labelled images, with features before normalisation, as are all others.
        layers: of the features, and their normalisation.
        unlabelled: images of the target, or None. If there are related images, the labelled ones are of the target too.
        related: labelled images of other domains, or None.
        align: value of `transfer.align`; a named alignment is used even if no gain is shown.

    Raises `DataError` as `solve_layers`.
    """
    labelled = replace(problem, features=normalised_rows(problem.features, layers))
    plain = replace(layers, normalisation="none")
    target = None if unlabelled is None else read_sample(normalised_rows(unlabelled, layers), problem.seed)
    if related is not None and len(related.targets):
        rows = replace(related, features=normalised_rows(related.features, layers))
        adapted = with_related(labelled, plain, target, rows, align)
    elif target is None or not len(target):
        text = "no adaptation: there are neither unlabelled nor related images"
        adapted = Adaptation(labelled, plain, Decision("same domain", "none", text))
    else:
        adapted = aligned_with(labelled, plain, target, align)
        if adapted.decision.case == "same domain":
            adapted = with_spread_labels(adapted, target)
    return adapted
