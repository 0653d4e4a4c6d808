"""Answers of models that give an image any number of labels, as `selection.select` takes them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from transfercli.config.types import VAL_LOSS
from transfercli.evaluation.metrics.confusion import Array, Targets
from transfercli.evaluation.multilabel.metrics import LABEL_METRICS, LabelMetric, LabelSample
from transfercli.evaluation.multilabel.predictions import LabelPredictions
from transfercli.evaluation.scoring import LABELS
from transfercli.models.tasks.outputs import sigmoid

THRESHOLD = 0.5  # of an epoch's validation metrics, too


@dataclass(frozen=True, eq=False)
class LabelAnswers:
    """Answers of T models to the same N images.

    targets: int64 [N, L], as in `LabelPredictions`; logits: float32 [N, T, L], not calibrated; labels: L names;
    of_image: int64 [N], the cluster of each image, or None if all are independent
    """

    targets: Targets
    logits: npt.NDArray[np.float32]
    labels: tuple[str, ...]
    of_image: Targets | None = None

    @property
    def images(self) -> int:
        return len(self.targets)

    @property
    def models(self) -> int:
        return self.logits.shape[1]

    @property
    def clusters(self) -> int | None:
        """Number of clusters; None if all images are independent."""
        return None if self.of_image is None else int(self.of_image.max()) + 1

    @cached_property
    def predictions(self) -> list[LabelPredictions]:
        """Predictions of each model, with thresholds of 0.5."""
        paths, thresholds = tuple(map(str, range(self.images))), np.full(len(self.labels), THRESHOLD)
        return [
            LabelPredictions(paths, self.labels, self.targets, sigmoid(self.logits[:, model]), thresholds)
            for model in range(self.models)
        ]

    def scores(self, metric: str, weights: Array) -> Array:
        """Return a metric of each model, float64 [R, T], with each column of weights, float64 [N, R].

        metric: a `SelectionMetric` of the config.
        """
        rule = _row_of(metric).rule
        return np.stack([rule(LabelSample(model, weights)) for model in self.predictions], axis=1)

    def pooled_score(self, metric: str, shares: Array) -> float:
        """Return the metric of a mixture of models: `shares`, float64 [N, T], of each image's answer sum to 1."""
        return float(_row_of(metric).rule(LABELS.sample(self.predictions, shares.T.reshape(-1, 1), self.images))[0])


def _row_of(metric: str) -> LabelMetric:
    return LABEL_METRICS["log_loss" if metric == VAL_LOSS else metric.removeprefix("val_")]
