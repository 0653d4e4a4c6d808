"""Predictions of images: the one definition of how the output of a model becomes labels and probabilities."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from transfercli.workflows.predict.loadable import ModelOutput

DEFAULT_TOP = 5  # classes of an answer


@dataclass(frozen=True, slots=True)
class Prediction:
    """The prediction of an image.

    top: (label, probability) pairs, most probable first. error: why there are none. labels: the conformal set, most
    probable first; None if no sets were asked for. unknown: the out-of-distribution score; None if the model has none.
    strange: True if it is above its threshold; None without a score. answered: (label, probability) of the labels at or
    above their thresholds, most probable first; None if an image has exactly one label. unsure: the labels whose answer
    the model abstains from, in their order; None without abstention, or if an image has exactly one label. chosen:
    (label, probability) of the class that a threshold answers; None for the most probable one. value: the number of the
    image; None if it has classes or labels, and without a value there is a label. file: the local copy that was read,
    if the path is an address.
    """

    path: str
    top: tuple[tuple[str, float], ...] = ()
    abstained: bool = False
    error: str = ""
    labels: tuple[str, ...] | None = None
    unknown: float | None = None
    strange: bool | None = None
    answered: tuple[tuple[str, float], ...] | None = None
    unsure: tuple[str, ...] | None = None
    chosen: tuple[str, float] | None = None
    value: float | None = None
    file: str = ""

    @property
    def best(self) -> tuple[str | None, float]:
        """The most probable label of the answer and its probability; of no label, None and the highest of all."""
        if self.answered is None:
            return self.chosen or self.top[0]
        return self.answered[0] if self.answered else (None, self.top[0][1])

    def as_json(self) -> dict[str, Any]:
        """Return the JSON object of one line of output."""
        if self.error:
            return {"path": self.path, "error": self.error}
        label, probability = (None, None) if self.value is not None else self.best
        return {
            "path": self.path,
            **({} if self.value is None else {"value": self.value}),
            "label": label,
            "probability": probability,
            **({} if self.answered is None else {"labels": [list(pair) for pair in self.answered]}),
            "top": [list(pair) for pair in self.top],
            "abstained": self.abstained,
            **({} if self.unsure is None else {"unsure": list(self.unsure)}),
            **({} if self.labels is None else {"set": list(self.labels)}),
            "strange": self.strange,
            "unknown": self.unknown,
        }


def predictions_of(
    output: ModelOutput, count: int, labels: tuple[str, ...], top: int, *, abstain: bool
) -> Iterator[Prediction]:
    """Yield the prediction of each of the first `count` images of a batch, without its path.

    labels: of the model; () if each image gets a number. top: number of classes per image. abstain: True to say from
    what the model abstains.
    """
    if not labels:
        yield from (Prediction("", value=_shortest_float(value)) for value in output.probabilities[:count, 0])
        return
    for number in range(count):
        row, held = output.probabilities[number], None if output.sets is None else output.sets[number]
        # A stable sort puts the first class first among equal probabilities, as argmax does.
        order = np.argsort(-row, kind="stable")
        has = None if output.answered is None else output.answered[number]
        doubtful = output.unsure[number] if abstain and output.unsure is not None else None
        chosen = None if output.chosen is None else output.chosen[number : number + 1]
        yield Prediction(
            "",
            _pairs(labels, row, order[:top]),
            bool(abstain and output.abstained[number]),
            labels=None if held is None else tuple(labels[i] for i in order if held[i]),
            unknown=None if output.unknown is None else _shortest_float(output.unknown[number]),
            strange=None if output.strange is None else bool(output.strange[number]),
            answered=None if has is None else _pairs(labels, row, order[has[order]]),
            unsure=None if doubtful is None else tuple(labels[i] for i in np.flatnonzero(doubtful)),
            chosen=None if chosen is None else _pairs(labels, row, chosen)[0],
        )


def _pairs(labels: tuple[str, ...], row: np.ndarray, indices: np.ndarray) -> tuple[tuple[str, float], ...]:
    """Return (label, probability) of the labels at `indices`; row: float [C], the probabilities of an image."""
    return tuple((labels[i], _shortest_float(row[i])) for i in indices)


def padded(images: np.ndarray) -> np.ndarray:
    """Repeat images up to the next power of two: fewer batch shapes, and so fewer compilations."""
    return np.resize(images, (1 << (len(images) - 1).bit_length(), *images.shape[1:]))


def _shortest_float(value: float) -> float:
    """Return the float with the fewest digits that is the same float32, the type that a network computes."""
    return float(str(np.float32(value)))
