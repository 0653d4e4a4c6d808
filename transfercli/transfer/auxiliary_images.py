"""Auxiliary images of a training in the linear problem of a solved head."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from transfercli.data.dataset import Split
from transfercli.rows import Rows
from transfercli.transfer.adapt.adapt import adapt
from transfercli.transfer.adapt.domain import RelatedRows
from transfercli.transfer.probe.heads import PosedProblem
from transfercli.transfer.training_inputs import TrainingInputs


def with_auxiliary(posed: PosedProblem, inputs: TrainingInputs, features: Callable[[Split], Rows]) -> PosedProblem:
    """Return a problem with unlabelled and related images, as `adapt` decides; the same one without such images.

    features: returns the features of a split that the head reads.
    """
    if inputs.unlabelled is None and inputs.related is None:
        return posed
    unlabelled = None if inputs.unlabelled is None else features(inputs.unlabelled)
    related = None
    if inputs.related is not None and inputs.domains is not None:
        related = RelatedRows(features(inputs.related), inputs.related.targets, inputs.domains)
    found = adapt(posed.problem, posed.layers, unlabelled, related, inputs.align)
    return replace(
        posed,
        problem=found.problem,
        layers=found.layers,
        out_of_fold=found.out_of_fold,
        decision=found.decision,
    )
