"""Forecast of the accuracy that more labels of a run's kind of images buy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from transfercli.reporting import Reporter
from transfercli.text import counted
from transfercli.workflows.data.drift import base_trained
from transfercli.workflows.data.labelled_images import LabelledImages
from transfercli.workflows.stored_run import StoredRun

if TYPE_CHECKING:
    from transfercli.transfer.labelling.forecast import Gain
    from transfercli.transfer.labelling.learning_curve import LearningCurve

TIMES = (0.5, 1, 2, 5)  # of the budget, for which a gain is shown
FEW_IMAGES = 10  # validation images, below which their accuracy says too little
MOST_TIMES = 100  # the present number of labels, up to which the labels for a target are searched


@dataclass(frozen=True)
class Target:
    """Accuracy to reach, and the number of labels needed; None is more than can be forecast. low, high: the interval"""

    accuracy: float
    labels: int | None
    low: int | None
    high: int | None


@dataclass(frozen=True)
class LabelForecast:
    """Forecast of the gain in accuracy.

    Attributes:
        labelled: number of images with a label.
        level: probability with which an interval holds the truth.
        accuracy: the present accuracy and its interval; None without a forecast.
        gains: one for each number of labels; the one for the budget is `gain`.
        gain: gain for the images chosen; None without a forecast.
        target: None if no accuracy was asked for.
        curve: measured accuracy by number of training images.
        note: a restriction of the forecast, or the reason why there is none; "".
    """

    labelled: int
    level: float
    accuracy: tuple[float, float, float] | None = None
    gains: tuple[Gain, ...] = ()
    gain: Gain | None = None
    target: Target | None = None
    curve: tuple[tuple[float, float], ...] = ()
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        accuracy = self.accuracy and {"value": self.accuracy[0], "interval": list(self.accuracy[1:])}
        target = self.target
        return {
            "labelled": self.labelled,
            "level": self.level,
            "accuracy": accuracy,
            "gain": None if self.gain is None else _as_json(self.gain),
            "gains": [_as_json(gain) for gain in self.gains],
            "target": None
            if target is None
            else {"accuracy": target.accuracy, "labels": target.labels, "interval": [target.low, target.high]},
            "curve": [{"images": images, "accuracy": accuracy} for images, accuracy in self.curve],
            "note": self.note,
        }


def _as_json(gain: Gain) -> dict[str, Any]:
    return {"labels": gain.labels, "gain": gain.gain, "interval": [gain.low, gain.high]}


def label_forecast(
    run: StoredRun, labelled: LabelledImages, labels: int, target: float | None, reporter: Reporter
) -> LabelForecast:
    """Return the forecast for `labels` more labels, and for other numbers of them.

    With a frozen base, heads are solved on subsets of the labelled images. A base that was trained on these images
    separates them better than others, so that only the accuracy on the validation images is used then.
    """
    from transfercli.transfer.labelling.forecast import LEVEL, forecast

    images = int(labelled.counts.sum())
    trained = base_trained(run.record.phases)
    curve = _validation_point(labelled) if trained else _measured_curve(run, labelled, reporter)
    if curve is None:
        need = f"{FEW_IMAGES} or more validation images" if trained else "a class with two or more labelled images"
        return LabelForecast(images, LEVEL, note=f"There is no forecast: it needs {need}, which can still be read")
    found = forecast(curve, run.config.seed)
    numbers = sorted({max(1, round(labels * times)) for times in TIMES})
    needed = None if target is None else Target(target, *found.labels_for(target, MOST_TIMES))
    return LabelForecast(
        images,
        LEVEL,
        found.accuracy,
        tuple(found.gain(number) for number in numbers),
        found.gain(labels),
        needed,
        tuple((float(size), float(1 - error)) for size, error in zip(curve.sizes, curve.errors, strict=True)),
        _note(trained, curve),
    )


def _note(trained: bool, curve: LearningCurve) -> str:
    if trained:
        return (
            "The base was trained, so that the forecast rests on the accuracy on validation images and on curves of"
            " other data; a run with a frozen base, such as linear_probe, allows a narrower one"
        )
    if len(curve.sizes) < 3:
        return "There are few labels, so that the forecast rests on curves of other data for the most part"
    return ""


def _measured_curve(run: StoredRun, labelled: LabelledImages, reporter: Reporter) -> LearningCurve | None:
    """Return the learning curve of linear heads on the features that the run's head reads."""
    from transfercli.errors import DataError
    from transfercli.models.normalised import normalised
    from transfercli.rows import ArrayRows
    from transfercli.transfer.labelling.learning_curve import learning_curve, sampled
    from transfercli.transfer.probe.probe import solve

    if labelled.features is None:
        return None
    raw, seed = labelled.features, run.config.seed
    rows = sampled(len(labelled.targets), seed)
    features = normalised(raw.features[rows], raw.widths, run.classifier.normalisation)
    targets, classes = labelled.targets[rows], len(run.labels)
    try:
        probe = solve(ArrayRows(features), targets, classes, class_weights=None, seed=seed, reporter=reporter)
    except DataError:  # fewer than two classes have images
        return None
    return learning_curve(features, targets, int(labelled.counts.sum()), probe.strength, seed, reporter)


def _validation_point(labelled: LabelledImages) -> LearningCurve | None:
    """Return a curve of one point: the error of the run's model on its validation images."""
    from transfercli.transfer.labelling.learning_curve import LearningCurve, unevenness

    right = labelled.right[labelled.held_out]
    if len(right) < FEW_IMAGES:
        return None
    images, classes = int(labelled.counts.sum()), len(labelled.counts)
    trained = images * (1 - labelled.held_out.mean())
    error = (float((~right).sum()) + 0.5) / (len(right) + 1)
    variance = error * (1 - error) / len(right)
    return LearningCurve(
        images,
        classes,
        len(right),
        unevenness(labelled.counts),
        np.array([trained]),
        np.array([error]),
        np.array([[variance]]),
    )


def gain_in_words(gain: Gain) -> str:
    """Return such as `100 more labels: +1.8 points (0.6 to 3.1)`."""
    interval = interval_in_words(100 * gain.low, 100 * gain.high)
    return f"{counted(gain.labels, 'more label')}: {_points(100 * gain.gain, sign='+')} points ({interval})"


def accuracy_in_words(forecast: LabelForecast) -> str | None:
    """Return such as `With its 200 labels the accuracy is about 78.1% (74.0% to 82.2%)`; None without a forecast."""
    if forecast.accuracy is None:
        return None
    value, low, high = forecast.accuracy
    labels = counted(forecast.labelled, "label")
    return f"With its {labels} the accuracy on new images is about {value:.1%} ({low:.1%} to {high:.1%})"


def target_in_words(target: Target | None) -> str | None:
    """Return such as `An accuracy of 90% needs about 400 more labels (250 to 900)`; None without a target."""
    if target is None:
        return None
    goal = f"An accuracy of {target.accuracy:.4g}"
    if target.labels is None and target.low is None:
        return f"{goal} is not within reach of {MOST_TIMES} times the present labels"
    needed = f"about {target.labels}" if target.labels is not None else f"more than {target.low}"
    high = "more than can be forecast" if target.high is None else f"{target.high}"
    return f"{goal} needs {needed} more labels ({target.low} to {high})"


def interval_in_words(low: float, high: float) -> str:
    """Return an interval, such as `0.6 to 3.1`."""
    return f"{_points(low)} to {_points(high)}"


def _points(value: float, sign: str = "-") -> str:
    return f"{round(value, 1) + 0.0:{sign}.1f}"
