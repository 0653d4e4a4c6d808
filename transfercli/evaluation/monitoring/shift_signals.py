"""Signals of a shift: how a set of images differs from held-out images in confidence, features and class mix.

Differences in confidence and features are taken within each answered class, so that another class mix alone changes
them little.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from transfercli.evaluation.monitoring.answered_images import AnsweredImages, Array, log_odds

NEIGHBOURS = 3  # held-out images whose mean distance counts
COMPONENTS = 20  # principal components of the plane of held-out features
PRIOR_IMAGES = 5  # weight of the mean over all classes in the mean of one class
UNLIKE_SHARE = 0.95  # share of the held-out images that are not unlike the others
_FLOOR = 0.02  # standard deviation of a component, at least
# Added to squared distances, whose mean is about 1, before their logarithm: few features have nothing off their plane.
_LEAST = 1e-3
_LEAST_SPREAD = 1e-2


@dataclass(frozen=True, slots=True, eq=False)
class FeatureSpace:
    """Distances of features from those of M held-out images.

    mean: [D]; scale: of a feature vector's length; axes: [D, K], the largest principal components, and deviations, [K],
    along them; neighbours: float32 [M, D], centred and scaled
    """

    mean: Array
    scale: float
    axes: Array
    deviations: Array
    neighbours: npt.NDArray[np.float32]

    @classmethod
    def fit(cls, features: npt.NDArray[np.float32]) -> FeatureSpace:
        """Fit the space to features float32 [M, D]."""
        values = features.astype(np.float64)
        mean = values.mean(axis=0)
        scale = float(np.sqrt(np.square(values - mean).sum(axis=1).mean())) or 1.0
        rows = (values - mean) / scale
        _, sizes, axes = np.linalg.svd(rows, full_matrices=False)
        kept = min(COMPONENTS, len(sizes))
        deviations = sizes[:kept] / np.sqrt(len(rows)) + _FLOOR
        return cls(mean, scale, axes[:kept].T, deviations, rows.astype(np.float32))

    def distances(self, features: npt.NDArray[np.float32], *, own: bool = False) -> Array:
        """Return logarithms of three distances [N, 3]: from neighbours, in the plane of components, and from it.

        own: True for the held-out images themselves, of which each is no neighbour of its own.
        """
        rows = (features.astype(np.float64) - self.mean) / self.scale
        others = self.neighbours.astype(np.float64)
        lengths = np.square(rows).sum(axis=1)
        squares = lengths[:, None] + np.square(others).sum(axis=1) - 2 * rows @ others.T
        if own:
            np.fill_diagonal(squares, np.inf)
        nearest = min(NEIGHBOURS, squares.shape[1] - own)
        near = np.partition(squares, nearest - 1, axis=1)[:, :nearest].mean(axis=1)
        on_plane = rows @ self.axes
        within = np.square(on_plane / self.deviations).mean(axis=1)
        off_plane = lengths - np.square(on_plane).sum(axis=1)
        return np.stack([np.log(np.maximum(values, 0.0) + _LEAST) for values in (near, within, off_plane)], axis=1)


@dataclass(frozen=True, slots=True, eq=False)
class ShiftSignals:
    """Signals relative to held-out images.

    An image has six: confidence, margin, entropy, and its distances from neighbours, in the plane and from it. A set
    has the mean of each, the spread of each, and four of its own: the shift of the answered classes, of their entropy,
    of the dispersity and of the mean probabilities.

    centres: [C, 6], the mean signals of held-out images by answered class; spreads: [6], deviations from them; usual:
        [6], the deviations in units of `spreads`, 1 but for a signal that is the same for all images
    unlike: log distance from the neighbours above which an image is unlike the held-out ones
    mix: [C], shares of the answered classes of held-out images; mean: [C], mean probabilities; dispersity: of them
    """

    space: FeatureSpace
    centres: Array
    spreads: Array
    usual: Array
    unlike: float
    mix: Array
    mean: Array
    dispersity: float

    @classmethod
    def fit(cls, held_out: AnsweredImages) -> tuple[ShiftSignals, Array]:
        """Return the signals relative to held-out images, and those of these images themselves, [N, 6]."""
        space = FeatureSpace.fit(held_out.features)
        distances = space.distances(held_out.features, own=True)
        raw = np.concatenate([_confidence_signals(held_out), distances], axis=1)
        kinds, overall = _kinds(held_out), raw.mean(axis=0)
        centres = np.stack(
            [
                (raw[kinds == kind].sum(axis=0) + PRIOR_IMAGES * overall) / ((kinds == kind).sum() + PRIOR_IMAGES)
                for kind in range(_number_of_kinds(held_out))
            ]
        )
        spreads = (raw - centres[kinds]).std(axis=0) + _LEAST_SPREAD
        unlike = float(np.quantile(distances[:, 0], UNLIKE_SHARE))
        own, mean = (raw - centres[kinds]) / spreads, held_out.probabilities.mean(axis=0)
        usual = own.std(axis=0)
        signals = cls(space, centres, spreads, usual, unlike, _mix(held_out), mean, _dispersity(held_out))
        return signals, own

    def of_images(self, answers: AnsweredImages) -> Array:
        """Return the signals of each image, [N, 6], in deviations from held-out images of the same answered class."""
        raw = np.concatenate([_confidence_signals(answers), self.space.distances(answers.features)], axis=1)
        return (raw - self.centres[_kinds(answers)]) / self.spreads

    def of_set(self, answers: AnsweredImages, images: Array | None = None) -> Array:
        """Return the signals of a set, [16]. images: those of its images, if they are known already."""
        values = self.of_images(answers) if images is None else images
        mix, mean = _mix(answers), answers.probabilities.mean(axis=0)
        of_set = (
            np.abs(mix - self.mix).sum() / 2,
            _entropy(mix) - _entropy(self.mix),
            np.log(_dispersity(answers)) - np.log(self.dispersity),
            np.abs(mean - self.mean).sum() / 2,
        )
        return np.concatenate([values.mean(axis=0), values.std(axis=0) - self.usual, of_set])

    def unlike_share(self, answers: AnsweredImages) -> float:
        """Return the share of images that are further from held-out images than 95% of these are from each other."""
        return float((self.space.distances(answers.features)[:, 0] > self.unlike).mean())


def _kinds(answers: AnsweredImages) -> npt.NDArray[np.int64]:
    return np.zeros(len(answers), np.int64) if answers.several else answers.classes


def _number_of_kinds(answers: AnsweredImages) -> int:
    return 1 if answers.several else answers.probabilities.shape[1]


def _confidence_signals(answers: AnsweredImages) -> Array:
    """Return log odds of the certainty, the margin and minus the entropy, [N, 3]; of several labels, over all."""
    certainty = log_odds(answers.certainty)
    values = np.clip(answers.probabilities, 1e-12, 1.0)
    entropy = (values * np.log(values)).sum(axis=1)
    if answers.several:
        return np.stack([certainty.mean(axis=1), certainty.min(axis=1), entropy], axis=1)
    highest = np.sort(np.log(np.clip(answers.probabilities, 1e-9, 1.0)), axis=1)
    margin = highest[:, -1] - highest[:, -2]
    return np.stack([certainty[:, 0], np.log(margin + 0.05), entropy], axis=1)


def _mix(answers: AnsweredImages) -> Array:
    shares = answers.answered.sum(axis=0).astype(np.float64)
    return shares / max(1.0, float(shares.sum()))


def _entropy(shares: Array) -> float:
    return float(-(shares * np.log(shares + 1e-9)).sum())


def _dispersity(answers: AnsweredImages) -> float:
    """Return the nuclear norm of the probabilities, scaled (Deng et al. 2023): small if all answers are the same."""
    sizes = np.linalg.svd(answers.probabilities, compute_uv=False)
    return float(sizes.sum() / np.sqrt(answers.probabilities.size))
