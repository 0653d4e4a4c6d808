"""Expected accuracy without labels: calibrated confidence, corrected by how the run's accuracy fell under known shifts.

The answers to held-out images under known changes say how far the confidence of this run is to be believed. A Gaussian
process learns the correction from the signals of each shift; the errors that it makes on shifts of a kind it does not
know give the interval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from transfercli.evaluation.metrics.confusion import Counts
from transfercli.evaluation.monitoring import confidence_estimates, importance_weights
from transfercli.evaluation.monitoring.answered_images import (
    AnsweredImages,
    Array,
    LabelledAnswers,
    from_log_odds,
    log_odds,
)
from transfercli.evaluation.monitoring.class_presence import ClassPresence
from transfercli.evaluation.monitoring.confidence_estimates import CertaintyMap
from transfercli.evaluation.monitoring.expected_metrics import (
    class_probabilities,
    drawn_counts,
    expected_counts,
    metric_names,
    metric_values,
    moved_to,
    resampled_counts,
)
from transfercli.evaluation.monitoring.shift_process import MIX, ShiftProcess, without_own_kind
from transfercli.evaluation.monitoring.shift_signals import ShiftSignals

LEARNT, CONFIDENCE = "learnt_correction", "calibrated_confidence"  # methods
MIX_SETS = 30  # of held-out images with another class mix
CONCENTRATIONS = (0.3, 1.0, 3.0)  # of the Dirichlet distributions that their mixes are drawn from
LEVEL = 0.95  # nominal, of the intervals
_Z = 1.959963984540054  # normal quantile of it, two-sided
_FEWEST_ERRORS = 20  # known shifts in which a metric is defined, for an interval of it


@dataclass(frozen=True, eq=False)
class KnownShift:
    """Answers to held-out images under a known change. kind: its name; sets of one kind are left out together."""

    kind: str
    answers: LabelledAnswers


@dataclass(frozen=True, eq=False)
class KnownShifts:
    """Facts about S known shifts.

    kinds: [S]; signals: [S, K]; corrections: [S], of the log odds of the calibrated confidence to those of the accuracy
    margins, plain_margins: by metric, the `LEVEL` quantile of the errors in log odds: of corrected estimates, in
        standard deviations of the process, and of calibrated confidence alone; a metric without a margin has none
    """

    kinds: tuple[str, ...]
    signals: Array
    corrections: Array
    margins: Mapping[str, float]
    plain_margins: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class ExpectedValue:
    """Expected value of a metric, with the interval and the value on held-out images; None if it is not defined."""

    value: float | None
    interval: tuple[float, float] | None
    reference: float | None

    @property
    def drop(self) -> float | None:
        """The expected fall from the held-out value."""
        return None if self.value is None or self.reference is None else self.reference - self.value


@dataclass(frozen=True)
class Expectation:
    """Expectation about recent images.

    values: by metric, those of one class as `f1[3]`, with its index. Means are over the classes that images are
    expected of; the others have no value. method: `LEARNT` or `CONFIDENCE`. estimates: of the accuracy by each single
    method, in [0, 1]. correction: of the confidence, in log odds, and its deviation.
    farthest: the largest deviation of a known shift from those of other kinds. effective: number of held-out images
    that are like recent ones, by their features; None without features. unlike: share of recent images that are unlike
    all held-out ones, of which 0.05 are; None without features.
    """

    values: Mapping[str, ExpectedValue]
    method: str
    estimates: Mapping[str, float]
    correction: tuple[float, float]
    farthest: float
    effective: float | None
    unlike: float | None

    @property
    def beyond_known(self) -> bool:
        """True if the images are further from all known shifts than these are from each other."""
        return self.correction[1] > self.farthest


class AccuracyEstimator:
    """Estimator of the accuracy of one model, from its held-out answers and what known shifts do to them."""

    def __init__(self, held_out: LabelledAnswers, known: KnownShifts, seed: int) -> None:
        self.held_out, self.known, self.seed = held_out, known, seed
        self.signals, _ = ShiftSignals.fit(held_out.answers)
        self.certainty = CertaintyMap.fit(held_out)
        self.presence = ClassPresence.fit(held_out, self.certainty)
        expected, deviations = without_own_kind(known.signals, known.corrections, known.kinds)
        self.process = ShiftProcess.fit(known.signals, known.corrections)
        self.noise = _noise(expected, known.kinds)
        self.farthest = float(deviations.max())

    @property
    def several(self) -> bool:
        """True if an image may have several labels."""
        return self.held_out.answers.several

    def expect(self, recent: AnsweredImages) -> Expectation:
        """Return what is expected of recent answers. Without features, only the confidence is used."""
        with_features = recent.features.shape[1] > 0
        certainty = self.certainty.right(recent)
        correction, deviation = 0.0, 1.0
        if with_features:
            at, deviations = self.process.at(self.signals.of_set(recent)[None])
            correction, deviation = float(shrunk(at, self.noise)[0]), float(deviations[0])
        accuracy = float(from_log_odds(log_odds(certainty.mean()) + correction))
        margins = self.known.margins if with_features else self.known.plain_margins
        values = self._values(recent, moved_to(certainty, accuracy), margins, deviation)
        weights = importance_weights.feature_weights(self.held_out.answers, recent) if with_features else None
        return Expectation(
            values,
            LEARNT if with_features else CONFIDENCE,
            self._estimates(recent, accuracy if with_features else None, weights),
            (correction, deviation),
            self.farthest if with_features else np.inf,
            weights.effective_images if weights else None,
            self.signals.unlike_share(recent) if with_features else None,
        )

    def _values(
        self, recent: AnsweredImages, certainty: Array, margins: Mapping[str, float], deviation: float
    ) -> dict[str, ExpectedValue]:
        """Return the values of all metrics if decisions are right with probabilities `certainty`."""
        names, several = metric_names(recent.probabilities.shape[1], several=self.several), self.several
        pairs = float(certainty.size)
        probabilities = class_probabilities(recent, certainty)
        among = self.presence.expected(probabilities)
        values = metric_values(expected_counts(recent, probabilities), pairs, names, several=several, among=among)
        drawn = metric_values(drawn_counts(recent, probabilities, self.seed), pairs, names, several=several)
        counts, own_pairs = resampled_counts(self.held_out, self.seed)
        resampled = metric_values(counts, own_pairs, names, several=several)
        own = metric_values(_one(self.held_out), float(self.held_out.known.sum()), names, several=several)
        factor = _images_per_unit(recent)
        found = {}
        for name in names:
            value, reference = (_defined(each[name][0]) for each in (values, own))
            interval = None
            if value is not None and name in margins:
                parts = (margins[name] * deviation, _Z * factor * _spread(drawn[name]), _Z * _spread(resampled[name]))
                margin = float(np.sqrt(np.square(parts).sum()))
                low, high = from_log_odds(log_odds(value) + np.array([-margin, margin]))
                interval = _with_ends(min(float(low), value), max(float(high), value), pairs)
            found[name] = ExpectedValue(value, interval, reference)
        return found

    def _estimates(
        self, recent: AnsweredImages, learnt: float | None, weights: importance_weights.Weights | None
    ) -> dict[str, float]:
        """Return the accuracy by each method that these images allow."""
        held_out = self.held_out
        found = {
            "average_confidence": confidence_estimates.average_confidence(recent),
            "thresholded_confidence": confidence_estimates.thresholded_confidence(held_out, recent, "maximum"),
            "thresholded_entropy": confidence_estimates.thresholded_confidence(held_out, recent, "entropy"),
            "calibrated_confidence": float(self.certainty.right(recent).mean()),
            "difference_of_confidences": confidence_estimates.difference_of_confidences(held_out, recent),
        }
        if weights is not None:
            found["importance_weighting"] = weights.accuracy(held_out)
        if not self.several:
            found["label_shift"] = importance_weights.class_weights(held_out, recent).accuracy(held_out)
        return found if learnt is None else {**found, LEARNT: learnt}


def learn_known_shifts(held_out: LabelledAnswers, shifts: Sequence[KnownShift], seed: int) -> KnownShifts:
    """Return the facts about known shifts of held-out images, to which sets with another class mix are added."""
    signals, own = ShiftSignals.fit(held_out.answers)
    certainty = CertaintyMap.fit(held_out)
    sets = [(shift.kind, shift.answers, signals.of_set(shift.answers.answers)) for shift in shifts]
    for rows in _mixed_rows(held_out, seed):
        mixed = held_out.of_rows(rows)
        sets.append((MIX, mixed, signals.of_set(mixed.answers, own[rows])))
    kinds = tuple(kind for kind, _, _ in sets)
    of_sets = np.stack([values for _, _, values in sets])
    confidence = np.array([log_odds(certainty.right(labelled.answers).mean()) for _, labelled, _ in sets])
    corrections = np.array([log_odds(labelled.accuracy()) for _, labelled, _ in sets]) - confidence
    expected, deviations = without_own_kind(of_sets, corrections, kinds)
    moved = shrunk(expected, _noise(expected, kinds))
    answered = [labelled for _, labelled, _ in sets]
    return KnownShifts(
        kinds,
        of_sets,
        corrections,
        _margins(held_out, answered, confidence + moved, deviations),
        _margins(held_out, answered, confidence, np.ones(len(sets))),
    )


def shrunk(corrections: Array, noise: float) -> Array:
    """Return corrections that are nearly none if their square is well below `noise`, and nearly whole well above."""
    squares = np.square(corrections)
    return corrections * squares / np.maximum(squares + noise, 1e-12)


def _noise(expected: Array, kinds: Sequence[str]) -> float:
    """Return the mean square of corrections for another class mix alone, which needs none."""
    return float(np.square(expected[np.array(kinds) == MIX]).mean())


def _mixed_rows(held_out: LabelledAnswers, seed: int) -> list[np.ndarray]:
    """Return rows of held-out images, each as many as all, of `MIX_SETS` sets with another class mix."""
    rng = np.random.default_rng([seed, 23])
    truth = (held_out.truth == 1).astype(np.float64)
    frequency = np.maximum(truth.sum(axis=0), 1.0)
    result = []
    for number in range(MIX_SETS):
        shares = rng.dirichlet(np.full(truth.shape[1], CONCENTRATIONS[number % len(CONCENTRATIONS)]))
        weights = truth @ (shares / frequency) + 1e-9  # an image without labels is rare in each
        result.append(rng.choice(len(held_out), len(held_out), p=weights / weights.sum()))
    return result


def _margins(
    held_out: LabelledAnswers, sets: Sequence[LabelledAnswers], accuracy: Array, deviations: Array
) -> dict[str, float]:
    """Return by metric the `LEVEL` quantile of errors over deviations, if the accuracy is estimated with log odds [S].

    A metric that is defined in too few sets has none.
    """
    several, classes = sets[0].answers.several, sets[0].truth.shape[1]
    certainty = CertaintyMap.fit(held_out)
    presence = ClassPresence.fit(held_out, certainty)
    names = metric_names(classes, several=several)
    errors = []
    for labelled, estimate in zip(sets, accuracy, strict=True):
        moved = moved_to(certainty.right(labelled.answers), float(from_log_odds(estimate)))
        probabilities = class_probabilities(labelled.answers, moved)
        counts, among = expected_counts(labelled.answers, probabilities), presence.expected(probabilities)
        values = metric_values(counts, float(moved.size), names, several=several, among=among)
        truth = metric_values(_one(labelled), float(labelled.known.sum()), names, several=several)
        errors.append([abs(float(log_odds(values[name][0]) - log_odds(truth[name][0]))) for name in names])
    scaled = np.array(errors) / deviations[:, None]
    defined = np.isfinite(scaled).sum(axis=0) >= _FEWEST_ERRORS
    return {
        name: float(np.nanquantile(scaled[:, column], LEVEL)) for column, name in enumerate(names) if defined[column]
    }


def _one(labelled: LabelledAnswers) -> Counts:
    counts = labelled.counts()
    return Counts(counts.right[None], counts.predicted[None], counts.support[None])


def _images_per_unit(recent: AnsweredImages) -> float:
    """Return the root of the images per independent group: answers within one are taken as equally right."""
    if recent.groups is None:
        return 1.0
    return float(np.sqrt(len(recent) / len(np.unique(recent.groups))))


def _spread(values: Array) -> float:
    """Return the standard deviation of log odds of the defined values."""
    defined = values[np.isfinite(values)]
    return float(log_odds(defined).std()) if len(defined) else 0.0


def _with_ends(low: float, high: float, decisions: float) -> tuple[float, float]:
    """Return an interval with 0 or 1 if it ends less than one decision from it: log odds never reach them."""
    one = 1 / decisions
    return 0.0 if low < one else low, 1.0 if high > 1 - one else high


def _defined(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
