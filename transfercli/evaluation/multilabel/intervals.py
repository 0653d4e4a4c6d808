"""95% confidence intervals of the metrics of images with any number of labels, from a bootstrap over images."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from transfercli.data.clusters import cluster_indices
from transfercli.evaluation.multilabel.metrics import LABEL_METRICS, PER_LABEL, LabelSample
from transfercli.evaluation.multilabel.predictions import LabelPredictions
from transfercli.evaluation.statistics.bootstrap import RESAMPLES, resample_weights
from transfercli.evaluation.statistics.intervals import percentiles
from transfercli.evaluation.statistics.skewed_intervals import Interval


def label_intervals(predictions: LabelPredictions, requested: Iterable[str] = (), seed: int = 0) -> dict[str, Interval]:
    """Return the 95% interval of every metric and, as `ap[LABEL]`, of every metric of a label."""
    of_image = cluster_indices(predictions.groups)
    blocks: dict[str, list[np.ndarray]] = {name: [] for name in (*LABEL_METRICS, *PER_LABEL)}
    strata = np.zeros(len(predictions), np.int64)
    for weights in resample_weights(strata, RESAMPLES, np.random.default_rng(seed), of_image):
        sample = LabelSample(predictions, weights)
        for name, values in blocks.items():
            values.append((LABEL_METRICS.get(name) or PER_LABEL[name]).rule(sample))
    drawn = {name: np.concatenate(values) for name, values in blocks.items()}
    result = {name: percentiles(drawn[name]) for name in LABEL_METRICS}
    for index, label in enumerate(predictions.labels):
        result |= {f"{name}[{label}]": percentiles(drawn[name][:, index]) for name in PER_LABEL}
    return {name: interval for name, interval in result.items() if interval is not None}
