"""Images of the page of `predict --report`: counts of all, and the few of each group that are worth a look.

Predictions arrive one by one, and the memory does not grow with their number: each group keeps the entries that it may
show. An image belongs to the first group that fits: unreadable, abstained from, strange, its class. If an image may
have several labels, it belongs to each of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from transfercli.evaluation.report.predicted.bounded import Lowest, Sample

PICTURES = 1200  # on the page
OF_CLASS, SUREST = 24, 6  # pictures of a class; the surest among them, the others are the least sure
OF_DOUBT = 120  # pictures of images that the model abstains from, and of strange ones
REASONS = 200  # unreadable images with their reasons
BINS = 20  # of a histogram
SAMPLED, OF_STRIP, OF_END = 4096, 60, 6  # numbers that are kept; pictures of the strip; of them at each end


class Prediction(Protocol):
    """Prediction of an image, as `predict` gives it."""

    @property
    def path(self) -> str: ...
    @property
    def file(self) -> str: ...
    @property
    def error(self) -> str: ...
    @property
    def abstained(self) -> bool: ...
    @property
    def strange(self) -> bool | None: ...
    @property
    def unknown(self) -> float | None: ...
    @property
    def value(self) -> float | None: ...
    @property
    def labels(self) -> tuple[str, ...] | None: ...
    @property
    def answered(self) -> tuple[tuple[str, float], ...] | None: ...
    @property
    def best(self) -> tuple[str | None, float]: ...
    @property
    def top(self) -> tuple[tuple[str, float], ...]: ...


class Group:
    """Group of images: counts, and the entries that may be shown, the most useful first.

    most: entries that may be shown. surest: those among them with the highest keys; the others have the lowest.
    """

    def __init__(self, most: int, surest: int = 0) -> None:
        self.count, self.histogram = 0, [0] * BINS
        self._total, self._share = 0.0, surest / most
        self._lowest, self._highest = Lowest[Prediction](most), Lowest[Prediction](surest)

    def add(self, key: float, prediction: Prediction, probability: float = 0.0) -> None:
        """Take an image. key: the lowest are shown first. probability: of the answer, for the histogram."""
        self.count += 1
        self._total += probability
        self.histogram[min(int(probability * BINS), BINS - 1)] += 1
        self._lowest.add(key, prediction)
        self._highest.add(-key, prediction)

    @property
    def mean(self) -> float:
        """The mean probability of the answers."""
        return self._total / self.count

    def shown(self, most: int) -> list[Prediction]:
        """Return at most `most` images in the order of their keys, from both ends."""
        lowest, highest = self._lowest.entries(), self._highest.entries()
        if self.count <= min(most, len(lowest)):
            return lowest
        surest = int(most * self._share)
        return [*lowest[: most - surest], *reversed(highest[:surest])]


@dataclass
class ChosenImages:
    """Images of a page.

    Attributes:
        labels: the classes, in the order of the page.
        count: of all images. unreadable: their number, and reasons: the first of them.
        doubtful: images that the model abstains from. strange: the others that are unlike the training images.
        unlabelled: images without any label. groups: of each class or label that was answered.
        set_sizes: number of labels in a prediction set -> number of images.
        numbers: a sample of the images with a number; lowest, highest: those of the extremes.
    """

    labels: Sequence[str]
    count: int = 0
    unreadable: int = 0
    reasons: list[Prediction] = field(default_factory=list)
    doubtful: Group = field(default_factory=lambda: Group(OF_DOUBT))
    strange: Group = field(default_factory=lambda: Group(OF_DOUBT))
    unlabelled: Group = field(default_factory=lambda: Group(OF_CLASS))
    groups: dict[str, Group] = field(default_factory=dict)
    set_sizes: dict[int, int] = field(default_factory=dict)
    numbers: Sample[Prediction] = field(default_factory=lambda: Sample(SAMPLED))
    lowest: Lowest[Prediction] = field(default_factory=lambda: Lowest(OF_END))
    highest: Lowest[Prediction] = field(default_factory=lambda: Lowest(OF_END))
    total: float = 0.0

    def add(self, prediction: Prediction) -> None:
        """Take the prediction of the next image."""
        self.count += 1
        if prediction.error:
            self.unreadable += 1
            if len(self.reasons) < REASONS:
                self.reasons.append(prediction)
        elif prediction.value is not None:
            self._add_number(prediction.value, prediction)
        else:
            if prediction.labels is not None:
                size = len(prediction.labels)
                self.set_sizes[size] = self.set_sizes.get(size, 0) + 1
            for group, key, probability in self._groups_of(prediction):
                group.add(key, prediction, probability)

    def _groups_of(self, prediction: Prediction) -> Iterator[tuple[Group, float, float]]:
        """Yield each group of an image, its key there and the probability of the answer."""
        label, probability = prediction.best
        if prediction.abstained:
            yield self.doubtful, probability, probability
        elif prediction.strange:
            yield self.strange, -(prediction.unknown or 0.0), probability
        elif label is None:  # the nearest to a label first
            yield self.unlabelled, -probability, probability
        else:
            for name, its in prediction.answered or ((label, probability),):
                yield self.groups.setdefault(name, Group(OF_CLASS, SUREST)), its, its

    def _add_number(self, value: float, prediction: Prediction) -> None:
        self.total += value
        self.numbers.add(prediction)
        self.lowest.add(value, prediction)
        self.highest.add(-value, prediction)

    @property
    def readable(self) -> int:
        return self.count - self.unreadable

    @property
    def by_class(self) -> list[tuple[str, Group]]:
        """The groups of the classes, in the order of the labels."""
        return [(label, self.groups[label]) for label in self.labels if label in self.groups]

    def limits(self) -> dict[str, int]:
        """Return how many pictures each class may have, so that all together are at most `PICTURES`."""
        groups = self.by_class
        left = PICTURES - sum(min(group.count, OF_DOUBT) for group in (self.doubtful, self.strange, self.unlabelled))
        for most in range(OF_CLASS, 0, -1):
            if sum(min(group.count, most) for _, group in groups) <= left:
                return {label: most for label, _ in groups}
        return {label: int(number < left) for number, (label, _) in enumerate(groups)}

    def strip(self) -> list[Prediction]:
        """Return images with numbers, in their order: the extremes, and others in even steps of rank between them."""
        ends = [*self.lowest.entries(), *self.highest.entries()]
        held = {id(entry) for entry in ends}
        others = sorted((entry for entry in self.numbers.entries if id(entry) not in held), key=_value)
        most = OF_STRIP - len(ends)
        if len(others) > most:
            others = [others[round(step * (len(others) - 1) / (most - 1))] for step in range(most)]
        distinct = {id(entry): entry for entry in (*ends, *others)}
        return sorted(distinct.values(), key=_value)


def _value(prediction: Prediction) -> float:
    return prediction.value or 0.0
