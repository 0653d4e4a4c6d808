"""Files that are made of a stream of predictions while it passes, such as the page of `--report`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from pathlib import Path

from transfercli.errors import DataError
from transfercli.io.addresses import is_remote
from transfercli.workflows.predict.predict import Prediction, Predictions, PredictRequest

# Block whose value takes each prediction; the files are complete at its end.
Output = AbstractContextManager[Callable[[Prediction], None]]


def image_folders(request: PredictRequest) -> Iterator[tuple[str, Path]]:
    """Yield the folders whose images are predicted, as typed and with links resolved."""
    for given in (*request.paths, *([str(request.watch)] if request.watch else [])):
        if not is_remote(given) and os.path.isdir(given):  # noqa: PTH112 - False for an impossible file name
            yield given, Path(os.path.realpath(given))


def with_outputs(predictions: Predictions, outputs: Sequence[Output]) -> Predictions:
    """Return the same predictions, each of which is passed to the outputs before it is yielded.

    The files are also completed if the stream ends with `DataError`, as images cannot be read; not if it is stopped.
    """
    return replace(predictions, answers=_passed_on(predictions.answers, outputs)) if outputs else predictions


def _passed_on(answers: Iterator[Prediction], outputs: Sequence[Output]) -> Iterator[Prediction]:
    unread: DataError | None = None
    with ExitStack() as stack:
        takers = [stack.enter_context(output) for output in outputs]
        while True:
            try:
                prediction = next(answers, None)
            except DataError as error:
                unread = error
                break
            if prediction is None:
                break
            for take in takers:
                take(prediction)
            yield prediction
    if unread is not None:
        raise unread
