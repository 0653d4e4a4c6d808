"""Domains: their images as normalised features, and the adaptation of a head to one of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from transfercli.models.normalised import normalised
from transfercli.rows import Indices, Rows, TransformedRows, release
from transfercli.transfer.adapt.alignment import Alignment
from transfercli.transfer.adapt.decision import Decision
from transfercli.transfer.probe.cross_validation import OutOfFold
from transfercli.transfer.probe.multilayer import FeatureLayers, LinearProblem
from transfercli.transfer.probe.probe import Probe

Setting = Literal["none", "centre", "moments", "coral", "auto"]

SAMPLE = 4096  # images of a domain that its moments, the domain classifier and the graph are computed from


@dataclass(frozen=True)
class RelatedRows:
    """Labelled images of neighbouring domains. features: N rows as those of the problem; targets, domain: int [N]."""

    features: Rows
    targets: np.ndarray
    domain: np.ndarray


@dataclass(frozen=True)
class Adaptation:
    """Problem to solve instead, its layers, and the decision.

    The features of `problem` are normalised and in the target's place. So its head reads normalised features of the
    target as they are: it is the classifier's head, without a further layer. out_of_fold: predictions of the labelled
    images, if labels of others come from theirs, so that a cross-validation of `problem` would be too good.
    """

    problem: LinearProblem
    layers: FeatureLayers
    decision: Decision
    out_of_fold: OutOfFold | None = None


def normalised_rows(features: Rows, layers: FeatureLayers) -> Rows:
    """Return features, rows float32 [D], each layer of them normalised."""
    if layers.normalisation == "none":
        return features
    return TransformedRows(features, lambda rows, _: normalised(rows, layers.widths, layers.normalisation))


def moved_rows(features: Rows, alignment: Alignment) -> Rows:
    """Return rows of a source in the place of the target's."""

    def move(rows: np.ndarray, _: Indices) -> np.ndarray:
        return alignment(rows)

    return TransformedRows(features, move)


def sample(count: int, seed: int) -> np.ndarray:
    """Return the indices of at most `SAMPLE` of so many images, int64 in ascending order."""
    if count <= SAMPLE:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, SAMPLE, replace=False))


def read_sample(features: Rows, seed: int) -> np.ndarray:
    """Return at most `SAMPLE` rows, float32 [n, D]."""
    rows = features.read(sample(len(features), seed))
    release(features)
    return rows


def logits_of(probe: Probe, features: np.ndarray) -> np.ndarray:
    """Return the logits [N, C] of a head for features [N, D]."""
    logits: np.ndarray = features @ probe.kernel + probe.bias
    return logits
