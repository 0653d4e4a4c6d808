"""Recording of a version's answers in an answer log, beside the event loop of the server."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from transfercli.data.image import Geometry
from transfercli.errors import TransferError
from transfercli.reporting import Reporter
from transfercli.workflows.answer_log import AnswerLog, model_facts
from transfercli.workflows.predict.loadable import ModelOutput
from transfercli.workflows.serve.model_process import Greeting

WAITING = 16  # batches that may wait to be recorded, before the server waits with them: memory is bounded


@dataclass(frozen=True, slots=True)
class Recording:
    """Options of `serve --log`. folder: of the log. keep_images: number of the least sure images that it keeps."""

    folder: Path
    keep_images: int
    reporter: Reporter

    def open(self, location: Path, greeting: Greeting) -> Recorder:
        """Return the recorder of a loaded model. Raises as `AnswerLog`."""
        facts = model_facts(
            location,
            greeting.labels,
            Geometry(*greeting.geometry),
            several=greeting.several,
            has_numbers=greeting.has_numbers,
        )
        return Recorder(AnswerLog(self.folder, facts, self.keep_images, self.reporter), self)


class Recorder:
    """Recorder of batches, in a thread of its own: the event loop computes no hash and writes no file."""

    def __init__(self, log: AnswerLog, options: Recording) -> None:
        self._log, self._reporter = log, options.reporter
        self.keeps_files = options.keep_images > 0
        self._thread = ThreadPoolExecutor(1, "recording")
        self._room = threading.Semaphore(WAITING)

    def record(self, images: np.ndarray, output: ModelOutput, files: Sequence[bytes | None]) -> None:
        """Record a batch: images uint8 [N, H, W, 3], their output, and the files that they were sent as, if any."""
        self._room.acquire()
        self._thread.submit(self._record, images, output, files)

    def _record(self, images: np.ndarray, output: ModelOutput, files: Sequence[bytes | None]) -> None:
        try:
            self._log.record(list(images), output, files)
        finally:
            self._room.release()

    def failed(self, images: int) -> None:
        """Record images that could not be read or computed."""
        self._thread.submit(self._log.record_failed, images)

    def close(self) -> None:
        """Write what is new; an error is a warning, as the answers were given."""
        self._thread.shutdown()
        try:
            self._log.close()
        except TransferError as error:
            self._reporter.warning(f"the last answers are not in the log: {error.message}")
