"""Adaptation of the heads of one training to its unlabelled and related images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from transfercli.data.dataset import Split
from transfercli.reporting import Reporter
from transfercli.rows import Indices, Rows, TransformedRows
from transfercli.transfer.adapt.adapt import adapt
from transfercli.transfer.adapt.decision import Decision
from transfercli.transfer.adapt.domain import Adaptation, RelatedRows, Setting
from transfercli.transfer.probe.heads import PosedProblem


@dataclass
class HeadAdapter:
    """Adapter of posed problems; each is adapted once for the base's current weights.

    unlabelled, related: images beside the labelled ones, or None; domains: int [N], of each related image. align: value
    of `transfer.align`. decision: the last one; None before the first.
    """

    unlabelled: Split | None
    related: Split | None
    domains: np.ndarray | None
    align: Setting
    decision: Decision | None = None
    _known: dict[tuple[tuple[str, ...], int], Adaptation] = field(default_factory=dict)

    @property
    def has_images(self) -> bool:
        """There are images to adapt to."""
        return self.unlabelled is not None or self.related is not None

    @property
    def aligned(self) -> bool:
        """The labelled images are aligned with a target of another domain, of which none has a label."""
        return self.decision is not None and self.decision.case == "another domain" and self.decision.chosen != "none"

    def forget(self) -> None:
        """Forget what was adapted, as the base's weights change."""
        self._known.clear()

    def __call__(self, posed: PosedProblem, features: Callable[[Split], Rows], reporter: Reporter) -> PosedProblem:
        """Return the problem that is adapted to the target; features: gives those of a split, for all layers."""
        key = posed.layers.names, posed.images
        if key not in self._known:
            self._known[key] = self._adapted(posed, features, reporter)
        found = self._known[key]
        self.decision = found.decision
        return replace(posed, problem=found.problem, layers=found.layers, out_of_fold=found.out_of_fold)

    def _adapted(self, posed: PosedProblem, features: Callable[[Split], Rows], reporter: Reporter) -> Adaptation:
        parts = [posed.all_layers.part(posed.all_layers.names.index(name)) for name in posed.layers.names]
        columns = np.concatenate([np.arange(part.start, part.stop) for part in parts])

        def read_layers(rows: np.ndarray, _: Indices) -> np.ndarray:
            return rows[:, columns]

        unlabelled, related = None, None
        if self.unlabelled is not None:
            unlabelled = TransformedRows(features(self.unlabelled), read_layers)
        if self.related is not None:
            rows = TransformedRows(features(self.related), read_layers)
            domains = np.zeros(len(self.related), np.int64) if self.domains is None else self.domains
            related = RelatedRows(rows, self.related.targets, domains)
        return adapt(posed.problem, posed.layers, unlabelled, related, self.align, reporter)
