"""Scoring of the answers of two models to the same images: all that a paired comparison needs to know of a task."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from transfercli.data.label_sets import UNKNOWN
from transfercli.errors import DataError
from transfercli.evaluation.metrics.confusion import PER_CLASS, Array, Targets
from transfercli.evaluation.metrics.registry import METRICS, Metric
from transfercli.evaluation.metrics.weighted import Sample
from transfercli.evaluation.multilabel.metrics import LABEL_METRICS, PER_LABEL, LabelMetric, LabelSample
from transfercli.evaluation.multilabel.predictions import LabelPredictions
from transfercli.evaluation.predictions import Predictions

Predicted = Predictions | LabelPredictions  # the latter if an image may have several labels
P = TypeVar("P", Predictions, LabelPredictions)


@dataclass(frozen=True, eq=False)
class Scoring(Generic[P]):
    """Scoring of the predictions of one task, whose type is P.

    Attributes:
        metrics: the rows of its table of metrics.
        right: answers -> bool [N], True if all of the answer to an image is right.
        whole: metric -> function of answers that returns the right answers to each image, int64 [N], for a metric that
            differs between two models as the sums of these do. A test of such a metric is exact.
        decided: metrics that differ only if one model has more images right as a whole.
        sample: (answers of one model or several, weights float64 [N of all, R], number of images) -> what rules score.
        of_classes: sample -> metrics of each class or label by their names, [R, C] each.
        strata: answers -> int64 [N]; resamples of images hold as many of each stratum as there are.
        aligned: (first, second) -> both models' answers to the images in common, under the labels of both.
    """

    metrics: Mapping[str, Metric | LabelMetric]
    right: Callable[[P], npt.NDArray[np.bool_]]
    whole: Mapping[str, Callable[[P], Targets]]
    decided: Collection[str]
    sample: Callable[[Sequence[P], Array, int | None], Any]
    of_classes: Callable[[Any], dict[str, Array]]
    strata: Callable[[P], Targets]
    aligned: Callable[[P, P], tuple[P, P]]

    def values(self, answers: P, weights: Array | None = None) -> dict[str, Array]:
        """Return every metric of the images and of every class, such as `recall[LABEL]`, [R] each.

        weights: float64 [N, R]; None: every image counts once.
        """
        weights = np.ones((len(answers), 1)) if weights is None else weights
        sample = self.sample([answers], weights, len(answers))
        values = {name: row.rule(sample) for name, row in self.metrics.items()}
        for name, columns in self.of_classes(sample).items():
            values |= {f"{name}[{label}]": columns[:, index] for index, label in enumerate(answers.labels)}
        return values


def rows_in_common(first: Mapping[Any, int], second: Mapping[Any, int]) -> tuple[Targets, Targets]:
    """Return the rows of the images that two models have in common, in the order of the first.

    first, second: rows of images by what names an image and its truth. Raises `DataError` if there is none in common.
    """
    common = [image for image in first if image in second]
    if not common:
        raise DataError("the two runs have no evaluated image in common", "evaluate both with the same --data DIR")
    return np.array([first[image] for image in common]), np.array([second[image] for image in common])


# -- one class an image


def _class_sample(models: Sequence[Predictions], weights: Array, images: int | None) -> Sample:
    targets = np.concatenate([model.targets for model in models])
    probabilities, answers = (
        np.concatenate([getattr(model, name) for model in models]) for name in ("probabilities", "predicted")
    )
    return Sample(targets, probabilities, weights, images, answers)


def _right_classes(predictions: Predictions) -> npt.NDArray[np.bool_]:
    return np.asarray(predictions.predicted == predictions.targets)


def _aligned_classes(first: Predictions, second: Predictions) -> tuple[Predictions, Predictions]:
    """Return both under the sorted classes of both; a class that a model does not know has probability 0.

    An image is in common if its path and its true class are the same.
    """
    labels = tuple(sorted({*first.labels, *second.labels}))
    rows = rows_in_common(_rows_by_class(first), _rows_by_class(second))
    return _with_classes(first.of(rows[0]), labels), _with_classes(second.of(rows[1]), labels)


def _rows_by_class(predictions: Predictions) -> dict[tuple[str, str], int]:
    names = (predictions.labels[target] for target in predictions.targets)
    return {image: row for row, image in enumerate(zip(predictions.paths, names, strict=True))}


def _with_classes(predictions: Predictions, labels: tuple[str, ...]) -> Predictions:
    columns = np.array([labels.index(label) for label in predictions.labels])
    probabilities = np.zeros((len(predictions), len(labels)))
    probabilities[:, columns] = predictions.probabilities
    targets, answers = columns[predictions.targets], predictions.answers
    answers = None if answers is None else columns[answers]
    return Predictions(predictions.paths, labels, targets, probabilities, predictions.groups, answers)


CLASSES: Scoring[Predictions] = Scoring(
    metrics=METRICS,
    right=_right_classes,
    whole={"accuracy": lambda predictions: _right_classes(predictions).astype(np.int64)},
    decided=[name for name, row in METRICS.items() if row.of_counts],
    sample=_class_sample,
    of_classes=lambda sample: {name: rule(sample.counts) for name, rule in PER_CLASS.items()},
    strata=lambda predictions: predictions.targets,
    aligned=_aligned_classes,
)


# -- several labels an image


def _label_sample(models: Sequence[LabelPredictions], weights: Array, images: int | None) -> LabelSample:
    first = models[0]
    targets, probabilities, answers = (
        np.concatenate([getattr(model, name) for model in models]) for name in ("targets", "probabilities", "answered")
    )
    paths = tuple(path for model in models for path in model.paths)
    predictions = LabelPredictions(paths, first.labels, targets, probabilities, first.thresholds)
    return LabelSample(predictions, weights, answers)


def _number_right(predictions: LabelPredictions) -> Targets:
    return predictions.right.sum(axis=1, dtype=np.int64)


def _aligned_labels(first: LabelPredictions, second: LabelPredictions) -> tuple[LabelPredictions, LabelPredictions]:
    """Return both under the sorted labels of both; a label that a model does not know has probability 0.

    An image is in common if its path is the same, and its truth in the labels that both know.
    """
    labels, both = tuple(sorted({*first.labels, *second.labels})), sorted({*first.labels} & {*second.labels})
    rows = rows_in_common(_rows_by_labels(first, both), _rows_by_labels(second, both))
    models = [_with_labels(model.of(chosen), labels) for model, chosen in zip((first, second), rows, strict=True)]
    alone = [[labels.index(label) for label in model.labels if label not in both] for model in (first, second)]
    for model, other, columns in zip(models, models[::-1], alone, strict=True):
        other.targets[:, columns] = model.targets[:, columns]
    return models[0], models[1]


def _rows_by_labels(predictions: LabelPredictions, labels: Sequence[str]) -> dict[tuple[str, bytes], int]:
    truth = predictions.targets[:, [predictions.labels.index(label) for label in labels]]
    return {
        (path, row.tobytes()): number for number, (path, row) in enumerate(zip(predictions.paths, truth, strict=True))
    }


def _with_labels(predictions: LabelPredictions, labels: tuple[str, ...]) -> LabelPredictions:
    """Return the predictions under more labels, whose targets are unknown and whose thresholds are 1."""
    columns = [labels.index(label) for label in predictions.labels]
    shape = (len(predictions), len(labels))
    targets, probabilities, thresholds = np.full(shape, UNKNOWN, np.int64), np.zeros(shape), np.ones(len(labels))
    targets[:, columns], probabilities[:, columns] = predictions.targets, predictions.probabilities
    thresholds[columns] = predictions.thresholds
    return LabelPredictions(predictions.paths, labels, targets, probabilities, thresholds, predictions.groups)


LABELS: Scoring[LabelPredictions] = Scoring(
    metrics=LABEL_METRICS,
    right=lambda predictions: predictions.all_right,
    whole={
        "subset_accuracy": lambda predictions: predictions.all_right.astype(np.int64),
        "accuracy": _number_right,
        "hamming_loss": _number_right,
    },
    decided=("subset_accuracy",),
    sample=_label_sample,
    of_classes=lambda sample: {name: row.rule(sample) for name, row in PER_LABEL.items()},
    strata=lambda predictions: np.zeros(len(predictions), np.int64),
    aligned=_aligned_labels,
)


def scoring_of(answers: Predicted) -> Scoring[Any]:
    """Return the scoring of a model's answers."""
    return LABELS if isinstance(answers, LabelPredictions) else CLASSES
