"""Probe of one layer: the strength of its penalty, its folds, and its solution on all images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from transfercli.reporting import Reporter
from transfercli.transfer.probe.logistic import Problem, fit
from transfercli.transfer.probe.probe import (
    MIDDLE,
    PATH_TOLERANCE,
    TOLERANCE,
    Candidate,
    fold_problems,
    strength_path,
)
from transfercli.transfer.probe.row_space import Coordinates

Rule = Callable[[list[Candidate]], Candidate]


def least_loss(candidates: Sequence[Candidate]) -> Candidate:
    """Return the candidate of least held-out loss: the mean of several probes needs no caution in each of them."""
    return min(candidates, key=lambda candidate: candidate.loss)


@dataclass(frozen=True)
class Validation:
    """Images that are held out in turn.

    rows: int [n], of the images with which strengths are compared; fold_of: int [n], -1 for one that trains in every
    fold; unit_of: int [n], the group of each, or None.
    """

    rows: np.ndarray
    fold_of: np.ndarray
    unit_of: np.ndarray | None

    def held(self) -> np.ndarray:
        """Return the positions in `rows` of the images that are held out, int."""
        return np.flatnonzero(self.fold_of >= 0)

    def part_of(self, whole: Problem) -> Problem:
        """Return the problem of these images."""
        if len(self.rows) == len(whole.rows):
            return whole
        return whole.part(self.rows)


class LayerFit:
    """One layer's probe.

    strength: chosen by cross-validation, or `MIDDLE` without one. candidates: the strengths tried.
    """

    def __init__(self, space: Coordinates, whole: Problem, validation: Validation | None, rule: Rule) -> None:
        """Choose the strength among those that were tried by a rule."""
        self.space, self.whole, self.validation = space, whole, validation
        self.strength = MIDDLE
        self.candidates: list[Candidate] = []
        self._start = whole.start()
        self._folds: list[np.ndarray] = []
        if validation is not None:
            self._choose(validation, rule)

    def _choose(self, validation: Validation, rule: Rule) -> None:
        problem = validation.part_of(self.whole)
        best: Candidate | None = None
        path = strength_path(problem, validation.fold_of, Reporter(), validation.unit_of)
        for candidate, thetas in path:
            self.candidates.append(candidate)
            if best is None or candidate.loss < best.loss:
                best, self._folds = candidate, thetas
            elif candidate.loss > best.loss + best.error or self.candidates[-2].loss > best.loss:
                break  # it rises: farther strengths would cost most of the time and be no better
        chosen = rule(self.candidates)
        if chosen is not best:
            self._folds = [
                fit(part, np.repeat(chosen.theta[:, None], len(part.weights), axis=1), chosen.strength, PATH_TOLERANCE)
                for part, _ in fold_problems(problem, validation.fold_of)
            ]
        self.strength, self._start = chosen.strength, chosen.theta[:, None]

    def held_out_logits(self, most: int | None = None) -> np.ndarray:
        """Return logits float32 [n, C] of the images that are held out, each by the other folds.

        most: only about so many images, evenly spaced.
        """
        assert self.validation is not None
        held = self.validation.held()
        chosen = held if most is None else held[spaced(len(held), most)]
        found = np.empty((len(self.validation.rows), self.whole.classes), np.float32)
        problem = self.validation.part_of(self.whole)
        for (part, held_out), theta in zip(fold_problems(problem, self.validation.fold_of), self._folds, strict=True):
            for number, images in enumerate(held_out):
                found[images] = part.answers(theta, number, images)
        return self.whole.centred(found[chosen], 1)

    def solution(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the kernel [D, C] and bias [C], float64, fitted to all images."""
        theta = fit(self.whole, self._start, self.strength, TOLERANCE, dense=True)[:, 0]
        return self.space.to_feature_space(self.whole.centred(theta, 0))


def spaced(count: int, most: int) -> np.ndarray:
    """Return at most `most` evenly spaced numbers below `count`, int, or all of them."""
    return np.arange(count) if count <= most else np.linspace(0, count - 1, most).astype(int)
