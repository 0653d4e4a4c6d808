"""Sketches of what a model was asked and of what it answered: those of all processes, over a range of days."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property

import numpy as np
import numpy.typing as npt

from transfercli.evaluation.monitoring.counts import Counts
from transfercli.evaluation.monitoring.histograms import Integers
from transfercli.evaluation.monitoring.log_files import LogFile
from transfercli.evaluation.monitoring.model_facts import ModelFacts
from transfercli.evaluation.monitoring.reservoir import Sample, merge_samples


@dataclass(frozen=True, eq=False)
class Sketch:
    """Sketch of a model's answers.

    days: counts of each UTC day with images, in order. sample: a uniform one of the different images of these days;
    those of months that are only partly in the range are not in it.
    """

    model: ModelFacts
    days: Mapping[date, Counts]
    sample: Sample

    @cached_property
    def counts(self) -> Counts:
        """The counts of all days."""
        return sum_of(self.days.values(), len(self.model.labels))

    @property
    def images(self) -> int:
        """The number of answered images."""
        return self.counts.images

    @property
    def features(self) -> npt.NDArray[np.float32] | None:
        """Features of the base of the sampled images, float32 [R, D]; None if the model gave none."""
        return self.sample.features if self.sample.features.shape[1] else None

    @property
    def probabilities(self) -> npt.NDArray[np.float32]:
        """Calibrated probabilities of the sampled images, float32 [R, C]; of a regression the numbers, [R, 1]."""
        return self.sample.probabilities

    @property
    def times(self) -> Integers:
        """The number of times that each sampled image was asked, int64 [R]."""
        return self.sample.times

    @property
    def weights(self) -> npt.NDArray[np.float64]:
        """The number of answered images that each sampled one stands for, float64 [R]."""
        return self.times.astype(np.float64) * (self.images / max(1, int(self.times.sum())))

    @property
    def mean_confidence(self) -> float | None:
        """The mean confidence of all answers, which is exact; None if there are none."""
        return self.counts.mean_confidence(several=self.model.several)


def sum_of(counts: Iterable[Counts], labels: int) -> Counts:
    """Return the sum of counts, of none if there are none."""
    total = Counts.none(labels)
    for one in counts:
        total.merge(one)
    return total


def merged(files: Iterable[LogFile], labels: int) -> tuple[dict[date, Counts], Sample]:
    """Return the counts of each day, in order, and the sample, of several files."""
    days: dict[date, Counts] = {}
    samples = []
    for file in files:
        for day, counts in file.days.items():
            days[day] = sum_of([days[day], counts] if day in days else [counts], labels)
        samples.append(file.sample)
    samples = [sample for sample in samples if len(sample)]
    if len({sample.features.shape[1] for sample in samples}) > 1:  # all rows, rather than some with features
        samples = [without_features(sample) for sample in samples]
    sample = merge_samples(samples) if samples else Sample.none(0, labels)
    return dict(sorted(days.items())), sample


def without_features(sample: Sample) -> Sample:
    """Return a sample without its features."""
    return Sample(sample.keys, sample.times, sample.features[:, :0], sample.probabilities, sample.limit)
