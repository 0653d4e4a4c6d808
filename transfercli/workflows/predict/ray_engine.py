"""Predictions by the workers of a Ray cluster. Paths go to them and predictions come back, but no pixels.

A worker decodes its images itself, in processes beside the one that holds the model. All nodes must read the run and
the images under the same paths.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from transfercli.data.decoding.stream import POLL_SECONDS, Decoder, Outcome, decode_in_order
from transfercli.data.image import InputImage
from transfercli.data.image_notes import count_notes
from transfercli.data.sources.inputs import InputQueue
from transfercli.data.sources.storage.remote_inputs import lacking_copies
from transfercli.errors import ArtefactError, DataError, DiskError, UsageError
from transfercli.reporting import Reporter
from transfercli.text import counted
from transfercli.workflows.cluster.cluster import connected_cluster
from transfercli.workflows.cluster.mapping import results_in_order
from transfercli.workflows.cluster.worker import Compute, Located
from transfercli.workflows.predict.loadable import LoadableModel
from transfercli.workflows.predict.predict import (
    DECODED_AHEAD,
    Network,
    Prediction,
    PredictRequest,
    predict_outcomes,
)
from transfercli.workflows.predict.predictors import find_model, with_sets

UNREAD = ("does not exist", "a broken link", "unreadable:")  # problems that a node may have with a good file
NAMES = 10_000  # read at a time

Noted = tuple[Prediction, str]  # and the decoder's notes on the image


def predict_on_ray(
    model: LoadableModel,
    images: Iterator[InputImage],
    request: PredictRequest,
    notes: Counter[str],
    reporter: Reporter,
) -> Generator[Prediction | None]:
    """Yield predictions as `Engine` does, computed by the workers of a Ray cluster.

    Raises `UsageError` if Ray is missing, `ClusterError` if no cluster answers or too many nodes died, `DataError` if a
    node cannot read a file that this machine can read.
    """
    listed, names = list[InputImage](), InputQueue(images)
    while not names.exhausted:
        listed += names.take(NAMES, POLL_SECONDS)
        yield None
    readable = [image.file or image.path for image in listed if not image.problem]  # a remote one has a local copy
    if not readable:
        yield from (Prediction(image.path, error=image.problem) for image in listed)
        return
    if lacking := lacking_copies(readable):
        raise DiskError(
            f"{counted(len(listed), 'image')} are more than the copies of remote images may take on this disk:"
            f" {len(lacking)} had to give way to others before the cluster could read them",
            "free disk space, predict the images of one folder at a time, or use --engine local",
        )
    task = PredictTask(replace(request, run=str(model.location)), model.geometry.name, Path.cwd())
    with connected_cluster() as cluster:
        workers, cores = counted(cluster.workers.count, "worker"), counted(cluster.workers.cores, "core")
        reporter.info(f"{cluster.place}: {workers} of {cores}")
        results = results_in_order(cluster, task, readable)
        for image in listed:
            if image.problem:
                yield Prediction(image.path, error=image.problem)
                continue
            while (result := next(results)) is None:
                yield None
            prediction, note = _seen(result)
            notes.update(count_notes([note]))
            yield replace(prediction, path=image.path, file=image.file)


def _seen(result: Located) -> Noted:
    """Return the prediction of a worker. Raises `DataError` if its node does not see a file that this machine sees."""
    prediction: Prediction = result.value[0]
    if prediction.error.startswith(UNREAD) and _can_be_read(prediction.path):
        raise DataError(
            f"node {result.node} of the cluster cannot read {prediction.path} ({prediction.error}); this machine can",
            "mount the storage of the images under the same path on every node, or take that node out of the cluster",
        )
    return result.value


def _can_be_read(path: str) -> bool:
    try:
        with open(path, "rb"):  # noqa: PTH123 - a ValueError for an impossible file name, as in decoding
            return True
    except (OSError, ValueError):
        return False


@dataclass(frozen=True)
class PredictTask:
    """Predictions of a run or an artefact, as every worker computes them.

    request: its `run` is an absolute path. recipe: name of the geometry of decoded images, with the versions of the
    libraries that decode. folder: the working folder, which relative paths start in.
    """

    request: PredictRequest
    recipe: str
    folder: Path

    def load(self, cores: int) -> Compute:
        """Return the function that predicts the images of paths, in order: a prediction and notes for each."""
        request = self.request
        if not Path(request.run).exists():
            raise ArtefactError(
                f"{request.run} does not exist", "keep runs on storage that every node mounts under the same path"
            )
        model = find_model(request.run, request.runs, Reporter())
        if request.sets is not None:
            model = with_sets(model, request.run, request.sets)
        if model.geometry.name != self.recipe:
            raise UsageError(
                "images are decoded by other versions of Pillow or its libraries than on the machine of the command",
                "install the same versions on all nodes, as requirements.lock has them",
            )
        decoder, network = Decoder(model.geometry, min(model.threads or cores, cores)), Network(model)
        return lambda paths: self._predict(paths, decoder, network)

    def _predict(self, paths: Sequence[str], decoder: Decoder, network: Network) -> list[Noted]:
        inputs = InputQueue(InputImage(os.path.join(self.folder, path)) for path in paths)  # noqa: PTH118 - as typed
        outcomes = decode_in_order(inputs, decoder, lambda: DECODED_AHEAD * network.batch_size)
        notes: list[str] = []
        # Batches are full whatever the speed of decoding, so an image has the same bits on every node.
        predictions = predict_outcomes(_noted(outcomes, notes), network, self.request, first=network.batch_size)
        answers = [prediction for prediction in predictions if prediction is not None]
        return [(replace(answer, path=path), note) for path, answer, note in zip(paths, answers, notes, strict=True)]


def _noted(outcomes: Iterator[Outcome | None], notes: list[str]) -> Iterator[Outcome]:
    """Yield the outcomes without the pauses between them, and append the decoder's notes on each."""
    for outcome in outcomes:
        if outcome is not None:
            notes.append(outcome[1].notes)
            yield outcome
