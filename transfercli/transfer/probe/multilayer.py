"""Multilayer probe: a linear head on the pooled features of several layers of a frozen base.

One probe is solved for each layer, and the head's logits are the mean of theirs; both together are one linear map.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from transfercli.models.normalised import Normalisation, normalised
from transfercli.reporting import Reporter
from transfercli.rows import Indices, Rows, TransformedRows, release
from transfercli.transfer.probe.probe import Probe, solve


@dataclass(frozen=True)
class FeatureLayers:
    """Layers whose pooled vectors are side by side in the features.

    names: of the taps, and last of the base's output; widths: of their vectors; normalisation: of each vector before
    the linear head.
    """

    names: tuple[str, ...]
    widths: tuple[int, ...]
    normalisation: Normalisation

    def part(self, number: int) -> slice:
        """Return the columns of a layer."""
        start = sum(self.widths[:number])
        return slice(start, start + self.widths[number])


@dataclass(frozen=True)
class LinearProblem:
    """Arguments of `solve`: features, N rows float32 [D], as the base makes them; targets: int [N]; and so on."""

    features: Rows
    targets: np.ndarray
    classes: int
    class_weights: np.ndarray | None
    seed: int
    groups: Sequence[str] = ()


def solve_layers(problem: LinearProblem, layers: FeatureLayers, reporter: Reporter) -> Probe:
    """Fit a linear head to the normalised features of all layers; raises as `solve`.

    The kernel [D, C] and bias [C] of the result are for normalised features. path: that of the base's output.
    """
    probes = [_solve_layer(problem, layers, number, reporter) for number in range(len(layers.names))]
    if len(probes) == 1:
        return probes[0]
    share = np.float32(1 / len(probes))
    kernel = np.concatenate([probe.kernel * share for probe in probes])
    bias = np.mean([probe.bias for probe in probes], axis=0)
    return Probe(kernel, bias, probes[-1].strength, probes[-1].path)


def _solve_layer(problem: LinearProblem, layers: FeatureLayers, number: int, reporter: Reporter) -> Probe:
    columns, width = layers.part(number), layers.widths[number]

    def transform(rows: np.ndarray, _: Indices) -> np.ndarray:
        return normalised(rows[:, columns], [width], layers.normalisation)

    features = TransformedRows(problem.features, transform)
    probe = solve(
        features,
        problem.targets,
        problem.classes,
        class_weights=problem.class_weights,
        seed=problem.seed,
        reporter=reporter,
        groups=problem.groups,
    )
    release(problem.features)
    return probe
