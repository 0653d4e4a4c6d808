"""Workflow of `predict`: labels and probabilities, one prediction per image, in the order of the inputs.

Images are streamed: names are read as they arrive, workers decode ahead, the network predicts batches, and the memory
does not grow with the number of images.
"""

from __future__ import annotations

import functools
from collections import Counter, deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from transfercli.data.decoding.decode import decode_file
from transfercli.data.decoding.stream import Decoder, Outcome, decode_in_order
from transfercli.data.image import Geometry, InputImage
from transfercli.data.image_notes import OF_TRAINING, count_notes, report_notes
from transfercli.data.sources.inputs import InputQueue, expand_inputs, read_names
from transfercli.data.sources.storage.remote_inputs import fetched_copies, lacking_copies
from transfercli.data.sources.watch import watch_folder
from transfercli.errors import DataError, UsageError
from transfercli.io.cores import usable_cores
from transfercli.reporting import Reporter
from transfercli.shards import Shard
from transfercli.text import counted
from transfercli.workflows.predict.loadable import LoadableModel, ModelOutput, PredictBatch, with_features
from transfercli.workflows.predict.predictions import DEFAULT_TOP, Prediction, padded, predictions_of
from transfercli.workflows.predict.predictors import find_model, with_sets

if TYPE_CHECKING:
    from transfercli.workflows.answer_log import AnswerLog

DECODED_AHEAD = 3  # batches
STDIN = 0


@dataclass(frozen=True)
class PredictRequest:
    """Options of `predict`.

    run: a run as typed, or the path of an exported artefact. paths: files, folders, patterns, `-`. top: number of
    classes per image. sets: probability with which a set of labels is to hold the true one; None for no sets. watch: a
    folder whose images are predicted after `paths`, and then without end as files arrive.
    strict: an image that cannot be read is an error at the end. shard: the part of the images to predict; None: all.
    log: folder of the answer log; None for none. keep_images: number of the least sure images that it keeps.
    """

    run: str
    runs: Path
    paths: tuple[str, ...]
    top: int = DEFAULT_TOP
    abstain: bool = False
    watch: Path | None = None
    strict: bool = False
    sets: float | None = None
    shard: Shard | None = None
    log: Path | None = None
    keep_images: int = 0


@dataclass(frozen=True, slots=True)
class Predictions:
    """A stream of predictions.

    Attributes:
        labels: all classes of the model.
        columns: number of classes per image.
        sets: True if predictions have conformal sets.
        several: True if an image may have several labels. has_numbers: True if each image gets a number.
        abstain: True if predictions say what the model abstains from.
        shard: the part of the images that they are of; None: all.
        answers: one per image, computed as they are read. Raises `DataError` at its end if no image could be read, or
            with `strict` if one could not.
    """

    labels: tuple[str, ...]
    columns: int
    answers: Iterator[Prediction]
    sets: bool = False
    several: bool = False
    has_numbers: bool = False
    abstain: bool = False
    shard: Shard | None = None

    @property
    def has_header(self) -> bool:
        """True if a table of them begins with the names of its columns: only the first shard's, so shards join."""
        return self.shard is None or self.shard.number == 1


@dataclass(frozen=True, slots=True)
class PredictionList:
    """All predictions of a stream that has ended; shard: as in `Predictions`."""

    predictions: Sequence[Prediction]
    shard: Shard | None = None

    def as_json(self) -> dict[str, Any]:
        return {
            **({"shard": str(self.shard)} if self.shard else {}),
            "images": len(self.predictions),
            "failed": sum(bool(prediction.error) for prediction in self.predictions),
            "predictions": [prediction.as_json() for prediction in self.predictions],
        }


class Engine(Protocol):
    """Computation of predictions, in this process or elsewhere."""

    def __call__(
        self,
        model: LoadableModel,
        images: Iterator[InputImage],
        request: PredictRequest,
        notes: Counter[str],
        reporter: Reporter,
    ) -> Generator[Prediction | None]:
        """Yield the prediction of each image, in order, and None from time to time while there is none.

        notes: the decoder's notes on the images are counted in it.
        """


def predict_images(request: PredictRequest, reporter: Reporter, engine: Engine | None = None) -> Predictions:
    """Return a stream of predictions; the network is loaded when the first image has been decoded.

    engine: computes them; None for this process.

    Raises `ArtefactError` if the run or artefact does not exist or has no scores for `sets`, `UsageError` if it has too
    few validation images for them or gives several labels, or if the log is in a folder of images, `DataError` if the
    folder to watch does not exist.
    """
    if request.watch is not None and not request.watch.is_dir():
        raise DataError(f"--watch must name a folder; {request.watch} is not one", "create it first")
    if request.watch is not None and request.shard is not None:
        raise UsageError(
            "--shard takes every n-th image of a list, and the files of --watch have no fixed order",
            "let each process watch a folder of its own",
        )
    model = find_model(request.run, request.runs, reporter)
    if request.log is not None:
        from transfercli.workflows.answer_log import check_log_place

        check_log_place(request.log, [*map(Path, request.paths), *filter(None, [request.watch])])
        model = with_features(model)
    if request.abstain and model.has_numbers:
        raise UsageError(f"--abstain: {request.run} gives an image a number, without a confidence", "leave it out")
    if request.sets is not None:
        model = with_sets(model, request.run, request.sets)
    if request.abstain and (reason := model.always_abstaining()):
        reporter.warning(f"{request.run} abstains from every image: {reason}")
    columns = min(request.top, len(model.labels))
    answers = _stream(engine or predict_here, model, request, reporter)
    sets = request.sets is not None
    return Predictions(
        model.labels,
        columns,
        answers,
        sets,
        model.several,
        model.has_numbers,
        request.abstain,
        request.shard,
    )


def _stream(engine: Engine, model: LoadableModel, request: PredictRequest, reporter: Reporter) -> Iterator[Prediction]:
    failed = done = 0
    notes: Counter[str] = Counter()
    with closing(engine(model, _input_images(request), request, notes, reporter)) as predictions:
        for prediction in predictions:
            if prediction is None:
                reporter.progress("predict", done, 0)
                continue
            yield prediction
            done, failed = done + 1, failed + bool(prediction.error)
            reporter.progress("predict", done, 0)
    report_notes(notes, OF_TRAINING, reporter)
    if failed and failed == done:
        raise DataError(f"none of {counted(done, 'image')} could be read", "the reason is in the line of each image")
    if failed:
        unread = f"{failed} of {counted(done, 'image')} could not be read"
        if request.strict:
            raise DataError(unread, "the reason is in the line of each; without --strict this is a warning")
        reporter.warning(f"{unread}; the reason is in the line of each")


def predict_here(
    model: LoadableModel,
    images: Iterator[InputImage],
    request: PredictRequest,
    notes: Counter[str],
    reporter: Reporter,
) -> Generator[Prediction | None]:
    """Yield predictions as `Engine` does, computed in this process; worker processes decode the images."""
    with (
        Decoder(model.geometry, min(model.threads or usable_cores(), usable_cores())) as decoder,
        _opened_log(model, request, reporter) as log,
        Network(model) as network,
    ):
        # More are decoded while the network is loaded.
        outcomes = decode_in_order(InputQueue(images), decoder, lambda: DECODED_AHEAD * network.batch_size)
        outcomes = _decoded_again(outcomes, decoder.geometry, reporter)
        yield from predict_outcomes(_counted(outcomes, notes), network, request, log=log)
        if decoder.trouble:
            reporter.warning(f"no worker processes ({decoder.trouble}): images were decoded one by one in this process")


def _opened_log(
    model: LoadableModel, request: PredictRequest, reporter: Reporter
) -> AbstractContextManager[AnswerLog | None]:
    """Return the answer log that a request asks for, or None."""
    if request.log is None:
        return nullcontext()
    from transfercli.workflows.answer_log import AnswerLog
    from transfercli.workflows.logged_model import facts_of

    return AnswerLog(request.log, facts_of(model), request.keep_images, reporter)


class Network:
    """A model that is loaded when its first batch is started: a misspelled path must not wait for that."""

    def __init__(self, model: LoadableModel) -> None:
        self._model, self.batch_size = model, model.batch_size()
        self.labels = () if model.has_numbers else model.labels
        self._computing = ThreadPoolExecutor(1, "network")

    @functools.cached_property
    def _predict_batch(self) -> PredictBatch:
        predict_batch = self._model.load()
        self.batch_size = self._model.batch_size()
        return predict_batch

    def start(self, images: np.ndarray) -> Future[ModelOutput]:
        """Start the forward pass of images, uint8 [n, H, W, 3], in a thread."""
        return self._computing.submit(self._predict_batch, padded(images))

    def __enter__(self) -> Network:
        return self

    def __exit__(self, *error: object) -> None:
        self._computing.shutdown(cancel_futures=True)


def _decoded_again(
    outcomes: Iterator[Outcome | None], geometry: Geometry, reporter: Reporter
) -> Iterator[Outcome | None]:
    """Yield all outcomes; a remote image whose copy had to give way before it was decoded is fetched once more."""
    for outcome in outcomes:
        if outcome is None or not outcome[1].problem or outcome[0].problem or not outcome[0].file:
            yield outcome
            continue
        for file in fetched_copies(lacking_copies([outcome[0].file]), reporter):
            outcome = outcome[0], decode_file(file, geometry)
        yield outcome


def _counted(outcomes: Iterator[Outcome | None], notes: Counter[str]) -> Iterator[Outcome | None]:
    """Yield all outcomes, and count the decoder's notes on them."""
    for outcome in outcomes:
        if outcome is not None:
            notes.update(count_notes([outcome[1].notes]))
        yield outcome


def _input_images(request: PredictRequest) -> Iterator[InputImage]:
    images = expand_inputs(request.paths, lambda: read_names(STDIN))
    yield from request.shard.taken(images) if request.shard else images
    if request.watch is not None:
        yield from watch_folder(request.watch)


def predict_outcomes(
    outcomes: Iterator[Outcome | None],
    network: Network,
    request: PredictRequest,
    first: int = 1,
    log: AnswerLog | None = None,
) -> Iterator[Prediction | None]:
    """Yield predictions in the order of `outcomes`, and None if an outcome is None and nothing is pending.

    A batch is gathered and its answers are written while the network computes another.

    first: number of images in the first batch; one is predicted alone, so that the first line is printed early.
    log: the answers of a batch are recorded before the first of them is yielded.
    """
    pending: list[Outcome] = []
    started: deque[_Started] = deque()
    full = first

    def answers(left: int) -> Iterator[Prediction]:
        """Yield the answers of all started batches but the last `left`."""
        while len(started) > left:
            batch = started.popleft()
            if log is not None:
                batch.record(log)
            yield from batch.predictions(network.labels, request)

    for outcome in outcomes:
        if outcome is not None:
            pending.append(outcome)
        if pending and (outcome is None or len(pending) >= full):
            started.append(_Started.of(pending, network))
            # Answers to the first image, and to images after which none is ready, are not held back.
            waiting = 0 if outcome is None or full == 1 else 1
            pending, full = [], network.batch_size
            yield from answers(waiting)
        elif outcome is None:
            if not started:
                yield None
            yield from answers(0)
    if pending:
        started.append(_Started.of(pending, network))
    yield from answers(0)


@dataclass(frozen=True)
class _Started:
    """Batch whose forward pass has started. output: None if none of its images could be read."""

    outcomes: Sequence[Outcome]
    output: Future[ModelOutput] | None

    @classmethod
    def of(cls, outcomes: Sequence[Outcome], network: Network) -> _Started:
        pixels = [decoded.pixels for _, decoded in outcomes if decoded.pixels is not None]
        return cls(outcomes, network.start(np.stack(pixels)) if pixels else None)

    def record(self, log: AnswerLog) -> None:
        """Add the answers to a log; it reads the files of images that it keeps."""
        read = [(image, decoded.pixels) for image, decoded in self.outcomes if decoded.pixels is not None]
        if self.output is not None:
            files = [Path(image.file or image.path) for image, _ in read]
            log.record([pixels for _, pixels in read], self.output.result(), files)
        log.record_failed(len(self.outcomes) - len(read))

    def predictions(self, labels: tuple[str, ...], request: PredictRequest) -> Iterator[Prediction]:
        """Yield the prediction of each image, in order, or why it could not be read."""
        count = sum(decoded.pixels is not None for _, decoded in self.outcomes)
        results = iter(
            predictions_of(self.output.result(), count, labels, request.top, abstain=request.abstain)
            if self.output
            else ()
        )
        for image, decoded in self.outcomes:
            if decoded.pixels is None:
                yield Prediction(image.path, error=decoded.problem, file=image.file)
            else:
                yield replace(next(results), path=image.path, file=image.file)
