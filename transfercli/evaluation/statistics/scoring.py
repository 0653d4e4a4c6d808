"""Scoring of the answers of two models to the same images: all that a paired comparison needs to know of a task."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from transfercli.errors import DataError
from transfercli.evaluation.metrics.confusion import PER_CLASS, Array, Targets
from transfercli.evaluation.metrics.registry import METRICS, Metric
from transfercli.evaluation.metrics.weighted import Sample
from transfercli.evaluation.predictions import Predictions

Answers = Any  # predictions of a task: `Predictions`, or `LabelPredictions` if an image may have several labels


@dataclass(frozen=True, eq=False)
class Scoring:
    """Scoring of the predictions of one task.

    Attributes:
        metrics: the rows of its table of metrics.
        right: answers -> bool [N], True if all of the answer to an image is right.
        whole: metric -> function of answers that returns the right answers to each image, int64 [N], for a metric that
            differs between two models as the sums of these do. A test of such a metric is exact.
        sample: (answers of one model or several, weights float64 [N of all, R], number of images) -> what rules score.
        of_classes: sample -> metrics of each class or label by their names, [R, C] each.
        strata: answers -> int64 [N]; resamples of images hold as many of each stratum as there are.
        aligned: (first, second) -> both models' answers to the images in common, under the labels of both.
    """

    metrics: Mapping[str, Metric]
    right: Callable[[Answers], npt.NDArray[np.bool_]]
    whole: Mapping[str, Callable[[Answers], Targets]]
    sample: Callable[[Sequence[Answers], Array, int | None], Any]
    of_classes: Callable[[Any], dict[str, Array]]
    strata: Callable[[Answers], Targets]
    aligned: Callable[[Answers, Answers], tuple[Answers, Answers]]

    def values(self, answers: Answers, weights: Array | None = None) -> dict[str, Array]:
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
    return Sample(targets, np.concatenate([model.probabilities for model in models]), weights, images)


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
    return Predictions(predictions.paths, labels, columns[predictions.targets], probabilities, predictions.groups)


CLASSES = Scoring(
    metrics=METRICS,
    right=_right_classes,
    whole={"accuracy": lambda predictions: _right_classes(predictions).astype(np.int64)},
    sample=_class_sample,
    of_classes=lambda sample: {name: rule(sample.counts) for name, rule in PER_CLASS.items()},
    strata=lambda predictions: predictions.targets,
    aligned=_aligned_classes,
)


def scoring_of(answers: Answers) -> Scoring:
    """Return the scoring of a model's answers."""
    return CLASSES


def metric_row(metric: str) -> Metric | None:
    """Return the row of a metric of any task; None for a metric of one class, such as `recall[LABEL]`."""
    return METRICS.get(metric)
