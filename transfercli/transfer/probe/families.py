"""Families of logistic regression: multinomial for one class an image, binary for several labels an image.

A family says what the targets of a linear head mean. All else is the same for both: strengths, folds, layers, refits.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from transfercli.data.label_sets import UNKNOWN
from transfercli.transfer.probe.folding import FOLDS, Folding, folds_of, group_folds, stratified_folds
from transfercli.transfer.probe.label_logistic import LabelProblem, binary_cross_entropy
from transfercli.transfer.probe.logistic import ABSENT, TINY, Problem
from transfercli.transfer.probe.stacking import LabelLogits, OutOfFoldLogits

FEWEST_NEW = 2  # images of each class or label, to hold one out while another trains


class Family(Protocol):
    """Meaning of targets: int [N] of classes, or int [N, L] of labels as in `Split`; logits are [N, C] or [N, L].

    class_weights: float [C], of an image in the loss by its class; or [L], of the presence of a label.

    fewest: number of classes or labels with which there is something to learn; needs: the message if there are fewer,
    with their `count`. lacking: the reason why no image can be held out, for a `unit` that is an image or a group.
    """

    fewest: int
    needs: str
    lacking: str

    def present(self, targets: np.ndarray, classes: int) -> np.ndarray:
        """Return the classes or labels that the images can teach, int."""

    def constants(self, targets: np.ndarray, classes: int) -> np.ndarray:
        """Return the biases of a head that has learnt nothing but which classes or labels occur, float32 [C]."""

    def problem(
        self, rows: np.ndarray, targets: np.ndarray, weights: np.ndarray | None, class_weights: np.ndarray | None
    ) -> Problem:
        """Return the problem of all present classes or labels; weights: of each image in the loss, or None."""

    def image_weights(self, targets: np.ndarray, class_weights: np.ndarray | None) -> np.ndarray:
        """Return the weight of each image by its targets, float64 [N]."""

    def strata(self, targets: np.ndarray) -> np.ndarray:
        """Return the stratum of each image, int [N], from 0: folds and samples have the same shares of all."""

    def folds(self, targets: np.ndarray, folding: Folding) -> tuple[np.ndarray | None, int]:
        """Return the fold of each image, all of which may be held out, and the number of folds, as `Folding.folds`."""

    def folds_of(
        self, targets: np.ndarray, held_out: np.ndarray, unit_of: np.ndarray | None, seed: int
    ) -> np.ndarray | None:
        """Return the fold of each image, as `folding.folds_of`."""

    def losses(
        self, logits: np.ndarray, targets: np.ndarray, class_weights: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return each image's log loss in nats, float64 [N], and its share of right answers, [N].

        Of several labels they are means over the known ones with a logit that is not NaN, weighted by `class_weights`;
        NaN if an image has none.
        """

    def scored(self, logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Return the targets, unknown for labels whose logit is NaN."""

    def out_of_fold(
        self,
        logits: list[np.ndarray],
        targets: np.ndarray,
        present: np.ndarray,
        weights: np.ndarray | None,
        class_weights: np.ndarray | None,
    ) -> OutOfFoldLogits:
        """Return logits out of fold of all layers, each [n, C] of C present classes or labels, with their targets.

        targets, weights: of the n images, as those of the problem.
        """

    def can_be_scored(self, targets: np.ndarray, new: np.ndarray) -> bool:
        """Return True if enough images of every class or label are new to the base; new: bool [N]."""


class Multinomial:
    """One class an image."""

    fewest = 2
    needs = "a linear probe needs images of at least 2 classes; there are {count}"
    lacking = "a class has a single {unit}"

    def present(self, targets: np.ndarray, classes: int) -> np.ndarray:
        return np.unique(targets)

    def constants(self, targets: np.ndarray, classes: int) -> np.ndarray:
        return np.full(classes, ABSENT, np.float32)

    def problem(
        self, rows: np.ndarray, targets: np.ndarray, weights: np.ndarray | None, class_weights: np.ndarray | None
    ) -> Problem:
        present, indices = np.unique(targets, return_inverse=True)
        combined = _product(self.image_weights(targets, class_weights), weights)
        return Problem(rows, indices, combined[None], len(present))

    def image_weights(self, targets: np.ndarray, class_weights: np.ndarray | None) -> np.ndarray:
        return np.ones(len(targets)) if class_weights is None else np.asarray(class_weights, np.float64)[targets]

    def strata(self, targets: np.ndarray) -> np.ndarray:
        return targets

    def folds(self, targets: np.ndarray, folding: Folding) -> tuple[np.ndarray | None, int]:
        return folding.folds(np.unique(targets, return_inverse=True)[1])

    def folds_of(
        self, targets: np.ndarray, held_out: np.ndarray, unit_of: np.ndarray | None, seed: int
    ) -> np.ndarray | None:
        return folds_of(targets, held_out, unit_of, seed)

    def losses(
        self, logits: np.ndarray, targets: np.ndarray, class_weights: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        logits = logits.astype(np.float64)
        top = logits.max(axis=1, keepdims=True)
        sums: np.ndarray = np.log(np.exp(logits - top).sum(axis=1))
        losses = sums + (top[:, 0] - logits[np.arange(len(targets)), targets])
        return losses, np.isfinite(losses) & (logits.argmax(axis=1) == targets)

    def scored(self, logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
        return targets

    def out_of_fold(
        self,
        logits: list[np.ndarray],
        targets: np.ndarray,
        present: np.ndarray,
        weights: np.ndarray | None,
        class_weights: np.ndarray | None,
    ) -> OutOfFoldLogits:
        combined = _product(self.image_weights(targets, class_weights), weights)
        return OutOfFoldLogits(logits, np.searchsorted(present, targets), combined)

    def can_be_scored(self, targets: np.ndarray, new: np.ndarray) -> bool:
        return all(np.count_nonzero(new[targets == target]) >= FEWEST_NEW for target in np.unique(targets))


class Binary:
    """Several labels an image, or none: one binary regression for each label that is known for some images."""

    fewest = 1
    needs = "a linear probe needs a label that some of the images have and others have not; there is none"
    lacking = "no label can be held out: each is in a single {unit}"

    def present(self, targets: np.ndarray, classes: int) -> np.ndarray:
        return np.flatnonzero((targets == 1).any(axis=0) & (targets == 0).any(axis=0))

    def constants(self, targets: np.ndarray, classes: int) -> np.ndarray:
        always = (targets == 1).any(axis=0) & ~(targets == 0).any(axis=0)
        return np.where(always, -ABSENT, ABSENT).astype(np.float32)

    def problem(
        self, rows: np.ndarray, targets: np.ndarray, weights: np.ndarray | None, class_weights: np.ndarray | None
    ) -> Problem:
        present = self.present(targets, targets.shape[1])
        taught = targets[:, present]
        by_label = _label_weights(taught, _of_present(class_weights, present))
        by_label *= ((taught >= 0).sum(axis=0) / by_label.sum(axis=0, dtype=np.float64)).astype(np.float32)
        images = _product(np.ones(len(targets)), weights)
        return LabelProblem(rows, taught, images[None], len(present), by_label)

    def image_weights(self, targets: np.ndarray, class_weights: np.ndarray | None) -> np.ndarray:
        return _label_weights(targets, class_weights).sum(axis=1, dtype=np.float64)

    def strata(self, targets: np.ndarray) -> np.ndarray:
        """Return the rarest label that each image has; images without a label are a stratum of their own.

        So folds of the strata share out every rare label, which random ones may miss.
        """
        has = targets == 1
        order = np.argsort(has.sum(axis=0), kind="stable")
        found: np.ndarray = np.where(has.any(axis=1), has[:, order].argmax(axis=1), targets.shape[1])
        return found

    def folds(self, targets: np.ndarray, folding: Folding) -> tuple[np.ndarray | None, int]:
        found = self.folds_of(targets, np.ones(len(targets), bool), folding.unit_of, folding.seed)
        return found, 0 if found is None else int(found.max()) + 1

    def folds_of(
        self, targets: np.ndarray, held_out: np.ndarray, unit_of: np.ndarray | None, seed: int
    ) -> np.ndarray | None:
        """Return the fold of each image, as `folding.folds_of`; a label of a single image or group is not scored."""
        units = np.arange(len(targets)) if unit_of is None else unit_of
        left = np.flatnonzero(~np.isin(units, units[~held_out]))
        if len(left) < 2:
            return None
        strata = np.unique(self.strata(targets[left]), return_inverse=True)[1]
        if unit_of is None:
            found = stratified_folds(strata, min(FOLDS, len(left)), seed)
        else:
            found = group_folds(strata, np.unique(units[left], return_inverse=True)[1], FOLDS, seed)
        fold_of = np.full(len(targets), -1)
        fold_of[left] = np.unique(found, return_inverse=True)[1]
        return fold_of if self._can_be_compared(targets, fold_of) else None

    def _can_be_compared(self, targets: np.ndarray, fold_of: np.ndarray) -> bool:
        """Return True if some label is that of images in one fold and is taught by the other folds."""
        for fold in range(int(fold_of.max()) + 1):
            others, own = targets[fold_of != fold], targets[fold_of == fold]
            if ((others == 1).any(axis=0) & (others == 0).any(axis=0) & (own == 1).any(axis=0)).any():
                return True
        return False

    def losses(
        self, logits: np.ndarray, targets: np.ndarray, class_weights: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        weights = _label_weights(self.scored(logits, targets), class_weights).astype(np.float64)
        filled = np.nan_to_num(logits.astype(np.float64))
        losses = binary_cross_entropy(filled, targets == 1)[0]
        totals = weights.sum(axis=1)
        totals[totals == 0] = np.nan
        right = (weights * ((filled > 0) == (targets == 1))).sum(axis=1) / totals
        return (weights * losses).sum(axis=1) / totals, right

    def scored(self, logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
        found: np.ndarray = np.where(np.isnan(logits), UNKNOWN, targets)
        return found

    def out_of_fold(
        self,
        logits: list[np.ndarray],
        targets: np.ndarray,
        present: np.ndarray,
        weights: np.ndarray | None,
        class_weights: np.ndarray | None,
    ) -> OutOfFoldLogits:
        scored = self.scored(logits[0], targets[:, present])
        by_label = _label_weights(scored, _of_present(class_weights, present)).astype(np.float64)
        by_label *= (scored >= 0).sum() / max(by_label.sum(), TINY)
        combined = by_label * _product(np.ones(len(targets)), weights)[:, None]
        return LabelLogits([np.nan_to_num(each) for each in logits], scored, combined)

    def can_be_scored(self, targets: np.ndarray, new: np.ndarray) -> bool:
        """Return True if so many images of every label are new to the base, but for labels that have fewer images."""
        images, new_images = (targets == 1).sum(axis=0), (targets[new] == 1).sum(axis=0)
        return bool((new_images >= np.minimum(images, FEWEST_NEW)).all())


def _label_weights(targets: np.ndarray, positive_weights: np.ndarray | None) -> np.ndarray:
    """Return the weight of each label of each image in the loss, float32 [N, L]: 0 if it is unknown."""
    weights = (targets >= 0).astype(np.float32)
    if positive_weights is not None:
        weights *= np.where(targets == 1, positive_weights, 1.0).astype(np.float32)
    return weights


def _of_present(class_weights: np.ndarray | None, present: np.ndarray) -> np.ndarray | None:
    return None if class_weights is None else np.asarray(class_weights)[present]


def _product(by_target: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    """Return the product of two weights of each image, scaled to a mean of 1; weights: all 1 if None."""
    product = by_target if weights is None else np.asarray(weights, np.float64) * by_target
    scaled: np.ndarray = product / product.mean()
    return scaled


MULTINOMIAL, BINARY = Multinomial(), Binary()


def family_of(targets: np.ndarray) -> Family:
    """Return the family that targets are of: int [N] of classes, or int [N, L] of labels."""
    return BINARY if targets.ndim == 2 else MULTINOMIAL
