"""`predict`: labels and probabilities for images, one answer an image, in the order they are named.

A stream from end to end: names are read as they come, workers decode ahead, the network answers in batches, and what
waits in memory does not grow with the number of images.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from transfercli.data.decoding.stream import Decoder, Outcome, decode_in_order
from transfercli.data.image import InputImage
from transfercli.data.sources.inputs import InputQueue, expand_inputs, read_names
from transfercli.data.sources.watch import watch_folder
from transfercli.errors import DataError
from transfercli.io.cores import usable_cores
from transfercli.reporting import Reporter
from transfercli.text import counted
from transfercli.workflows.predict.predictors import Answer, Source, find_source

BATCH = 32  # images a call of the network
STDIN = 0
DEFAULT_TOP = 5


@dataclass(frozen=True)
class PredictCall:
    """run: a run as typed, or an exported artefact. paths: files, folders, patterns, `-`. top: classes an image.

    watch: a drop folder, whose images are answered after those, and then as they come, for ever.
    """

    run: str
    runs: Path
    paths: tuple[str, ...]
    top: int = DEFAULT_TOP
    abstain: bool = False
    watch: Path | None = None


@dataclass(frozen=True, slots=True)
class Prediction:
    """What is said of one image. top: labels and probabilities, the most probable first; error: why there are none."""

    path: str
    top: tuple[tuple[str, float], ...] = ()
    abstained: bool = False
    error: str = ""

    def as_json(self) -> dict[str, Any]:
        """The contract's object."""
        if self.error:
            return {"path": self.path, "error": self.error}
        label, probability = self.top[0]
        return {
            "path": self.path,
            "label": label,
            "probability": probability,
            "top": [list(pair) for pair in self.top],
            "abstained": self.abstained,
        }


@dataclass(frozen=True, slots=True)
class Predictions:
    """A stream of predictions.

    Attributes:
        columns: number of classes per image.
        answers: one per image, computed as they are read; raises `DataError` at its end if no image could be read.
    """

    columns: int
    answers: Iterator[Prediction]


@dataclass(frozen=True, slots=True)
class PredictionList:
    """All predictions of a stream that has ended."""

    predictions: Sequence[Prediction]

    def as_json(self) -> dict[str, Any]:
        return {
            "images": len(self.predictions),
            "failed": sum(bool(prediction.error) for prediction in self.predictions),
            "predictions": [prediction.as_json() for prediction in self.predictions],
        }


def predict_images(call: PredictCall, reporter: Reporter) -> Predictions:
    """Raises `ArtefactError` where there is no such model, `DataError` where there is no such drop folder.

    The network itself is loaded with the first answer.
    """
    if call.watch is not None and not call.watch.is_dir():
        raise DataError(f"--watch must name a folder; {call.watch} is none", "create it first")
    source = find_source(call.run, call.runs, reporter)
    return Predictions(min(call.top, len(source.labels)), _all_answers(source, call, reporter))


def _all_answers(source: Source, call: PredictCall, reporter: Reporter) -> Iterator[Prediction]:
    failed = done = 0
    with Decoder(source.geometry, min(source.threads or usable_cores(), usable_cores())) as decoder:
        feed = InputQueue(_names(call))
        answer = source.load()  # the workers start meanwhile
        for prediction in _answers(decode_in_order(feed, decoder, 3 * BATCH), answer, source.labels, call):
            if prediction is None:
                reporter.progress("predict", done, 0)
                continue
            yield prediction
            done, failed = done + 1, failed + bool(prediction.error)
            reporter.progress("predict", done, 0)
        if decoder.trouble:
            reporter.warning(f"no worker processes ({decoder.trouble}): images were read one after the other")
    if failed and failed == done:
        raise DataError(f"not one of {counted(done, 'image')} could be read", "each line says why")
    if failed:
        reporter.warning(f"{failed} of {counted(done, 'image')} could not be read; their lines say why")


def _names(call: PredictCall) -> Iterator[InputImage]:
    yield from expand_inputs(call.paths, lambda: read_names(STDIN))
    if call.watch is not None:
        yield from watch_folder(call.watch)


def _answers(
    outcomes: Iterator[Outcome | None], answer: Answer, labels: tuple[str, ...], call: PredictCall
) -> Iterator[Prediction | None]:
    """In the order of `outcomes`. The first image is answered alone, so that the first line comes early."""
    waiting: list[Outcome] = []
    full = 1
    for outcome in outcomes:
        if outcome is not None:
            waiting.append(outcome)
        if waiting and (outcome is None or len(waiting) >= full):
            yield from _batch(waiting, answer, labels, call)
            waiting, full = [], BATCH
        elif outcome is None:
            yield None
    yield from _batch(waiting, answer, labels, call)


def _batch(waiting: list[Outcome], answer: Answer, labels: tuple[str, ...], call: PredictCall) -> Iterator[Prediction]:
    pixels = [decoded.pixels for _, decoded in waiting if decoded.pixels is not None]
    said = iter(_tops(answer, np.stack(pixels), labels, call) if pixels else ())
    for named, decoded in waiting:
        if decoded.pixels is None:
            yield Prediction(named.path, error=decoded.problem)
        else:
            top, abstained = next(said)
            yield Prediction(named.path, top, abstained)


def _tops(
    answer: Answer, images: np.ndarray, labels: tuple[str, ...], call: PredictCall
) -> Iterator[tuple[tuple[tuple[str, float], ...], bool]]:
    """Most probable classes of each of `images`, uint8 [n, H, W, 3], and whether the model is not to be believed."""
    said = answer(_padded(images))
    for row, doubted in zip(said.probabilities[: len(images)], said.doubted[: len(images)], strict=True):
        # Stable, so that of equal probabilities the first class is told first, as argmax has it.
        best = np.argsort(-row, kind="stable")[: call.top]
        yield tuple((labels[i], _shortest(row[i])) for i in best), bool(call.abstain and doubted)


def _padded(images: np.ndarray) -> np.ndarray:
    """As many images as the next power of two: few shapes, so that little is compiled for the last, smaller batches."""
    return np.resize(images, (1 << (len(images) - 1).bit_length(), *images.shape[1:]))


def _shortest(value: float) -> float:
    """Written with the fewest digits that give the same float32 again, which is what a network computes."""
    return float(str(np.float32(value)))
