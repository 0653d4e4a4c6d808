"""Table of solved heads: each row poses a linear problem of its own on the same images and layers.

`auto` cross-validates the rows in the order of their cost. A row may use part of the layers, or add images.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from transfercli.errors import ArtefactError
from transfercli.reporting import Reporter
from transfercli.transfer.probe.cross_validation import OutOfFold, cross_validate, solve_scored
from transfercli.transfer.probe.multilayer import FeatureLayers, LinearProblem, layer_features, solve_layers
from transfercli.transfer.probe.probe import Probe

LINEAR, MULTILAYER = "linear_probe", "multilayer_probe"


class HeadDecision(Protocol):
    """Decision on the use of auxiliary images (`adapt/decision.py`)."""

    @property
    def aligned(self) -> bool: ...
    def report(self, reporter: Reporter) -> None: ...
    def as_json(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class PosedProblem:
    """Linear problem of a row of `HEADS`. layers: that it reads; all_layers: of the classifier's head.

    images: number of its first rows, which are labelled images of the target; a row may add others behind them.
    out_of_fold: predictions of these images, if a cross-validation would be too good because labels of the other images
    come from theirs; else None.
    decision: on the use of auxiliary images; None if there are none.
    """

    problem: LinearProblem
    layers: FeatureLayers
    all_layers: FeatureLayers
    images: int
    out_of_fold: OutOfFold | None = None
    decision: HeadDecision | None = None

    def solve(self, reporter: Reporter) -> Probe:
        """Return the head on all layers; the kernel of a layer that is not read is 0. Raises as `probe.solve`."""
        return self._on_all_layers(solve_layers(self.problem, self.layers, reporter))

    def solve_scored(self, reporter: Reporter) -> tuple[Probe, OutOfFold] | None:
        """Return the head of `solve` and the predictions of `cross_validate`, at less cost than one after the other.

        None if no image could be held out.
        """
        if self.out_of_fold:
            found = self.out_of_fold
            return (self.solve(reporter), found) if np.isfinite(found.loss) else None
        if self.problem.validation() is None:
            return None
        probe, found = solve_scored(self.problem, self.layers, reporter)
        return self._on_all_layers(probe), found

    def cross_validate(self, repeats: int = 1) -> OutOfFold:
        """Return predictions of each labelled image out of fold, and of each added image; see `cross_validate`."""
        return self.out_of_fold or cross_validate(self.problem, self.layers, Reporter(), repeats)

    def _on_all_layers(self, probe: Probe) -> Probe:
        """Return a head on the layers that it reads as one on all layers, whose other weights are 0."""
        if self.layers.names == self.all_layers.names:
            return probe
        kernel = np.zeros((sum(self.all_layers.widths), probe.kernel.shape[1]), probe.kernel.dtype)
        for number, name in enumerate(self.layers.names):
            kernel[self.all_layers.part(self.all_layers.names.index(name))] = probe.kernel[self.layers.part(number)]
        return replace(probe, kernel=kernel)


Pose = Callable[[LinearProblem, FeatureLayers], tuple[LinearProblem, FeatureLayers]]


def last_layer(problem: LinearProblem, layers: FeatureLayers) -> tuple[LinearProblem, FeatureLayers]:
    """Pose the problem on the base's output alone."""
    features = layer_features(problem.features, replace(layers, normalisation="none"), len(layers.names) - 1)
    last = FeatureLayers(layers.names[-1:], layers.widths[-1:], layers.normalisation)
    return replace(problem, features=features), last


def every_layer(problem: LinearProblem, layers: FeatureLayers) -> tuple[LinearProblem, FeatureLayers]:
    """Pose the problem on all layers that the head reads."""
    return problem, layers


# In the order of their cost.
HEADS: dict[str, Pose] = {LINEAR: last_layer, MULTILAYER: every_layer}


def pose(head: str, problem: LinearProblem, layers: FeatureLayers) -> PosedProblem:
    """Return the problem of a row of `HEADS`, or on all layers for "".

    Raises `ArtefactError` if there is no such row: the run's record names it.
    """
    if head and head not in HEADS:
        raise ArtefactError(f"the run's record is damaged: no head is called {head[:80]!r}", "restore the run")
    posed, read = (HEADS[head] if head else every_layer)(problem, layers)
    return PosedProblem(posed, read, layers, len(problem.targets))


def heads_for(layers: FeatureLayers) -> tuple[str, ...]:
    """Return the rows of `HEADS` that differ for a head that reads these layers."""
    return tuple(name for name in HEADS if name != MULTILAYER or len(layers.names) > 1)
