"""Recording of a version's answers in an answer log, beside the event loop of the server."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from transfercli.data.image import Geometry
from transfercli.errors import TransferError
from transfercli.reporting import Reporter
from transfercli.text import first_line
from transfercli.workflows.answer_log import AnswerLog
from transfercli.workflows.logged_model import model_facts
from transfercli.workflows.predict.loadable import ModelOutput
from transfercli.workflows.serve.model_process import Greeting

WAITING_BYTES = 64 * 2**20  # of batches that wait to be recorded; later ones are left out: no answer waits for a disk
TASK_BYTES = 1024  # that a batch counts for beside its images


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
        self._counting = threading.Lock()
        self._waiting = 0  # bytes
        self._left_out = 0  # images
        self._failing = False

    def record(self, images: np.ndarray, output: ModelOutput, files: Sequence[bytes | None]) -> bool:
        """Record a batch: images uint8 [N, H, W, 3], their output, and the files that they were sent as, if any.

        Returns False if it is left out, because too many wait for a disk that is slow or hangs.
        """
        size = images.nbytes + sum(len(file) for file in files if file)
        return self._submit(len(images), size, lambda: self._log.record(list(images), output, files))

    def failed(self, images: int) -> bool:
        """Record images that could not be read or computed; return False if they are left out."""
        return self._submit(images, 0, lambda: self._log.record_failed(images))

    def _submit(self, images: int, size: int, work: Callable[[], None]) -> bool:
        size += TASK_BYTES
        with self._counting:
            is_full = self._waiting > 0 and self._waiting + size > WAITING_BYTES
            self._waiting += 0 if is_full else size
        if is_full:
            if not self._left_out:
                self._reporter.warning("the disk of the answer log is too slow or hangs: answers are left out of it")
            self._left_out += images
            return False
        self._thread.submit(self._do, size, work)
        return True

    def _do(self, size: int, work: Callable[[], None]) -> None:
        try:
            work()
            self._failing = False
        except Exception as error:  # of this program: the answers were given; of several in a row, one is a warning
            if not self._failing:
                self._reporter.warning(f"answers are not in the log: {first_line(error)}")
            self._failing = True
        finally:
            with self._counting:
                self._waiting -= size

    def close(self) -> None:
        """Write what is new; an error is a warning, as the answers were given."""
        self._thread.shutdown()
        if self._left_out:
            self._reporter.warning(f"the answers to {self._left_out} images were left out of the log")
        try:
            self._log.close()
        except TransferError as error:
            self._reporter.warning(f"the last answers are not in the log: {error.message}")
