"""Answer logs of `predict --log` and `serve --log`: sketches of what a model was asked and of what it answered.

A log holds counts, histograms, and a sample of features and probabilities, but no paths, no names and, without
`--keep-images`, no pixels. Every process writes files of its own, one a day, every few seconds: a process that is
killed loses the last of them and damages nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import zip_longest
from pathlib import Path

import numpy as np

from transfercli.data.label_sets import LabelSet
from transfercli.errors import TransferError, UsageError
from transfercli.evaluation.monitoring.compaction import compact, new_name
from transfercli.evaluation.monitoring.counts import Answers, Counts
from transfercli.evaluation.monitoring.kept_images import KeptImages, content_of
from transfercli.evaluation.monitoring.log_files import LogFile, write_log_file
from transfercli.evaluation.monitoring.log_folder import logs_among, open_model_folder
from transfercli.evaluation.monitoring.model_facts import ModelFacts
from transfercli.evaluation.monitoring.reservoir import Keys, Reservoir, Sample, keys_of
from transfercli.evaluation.monitoring.sketch import sum_of
from transfercli.reporting import Reporter
from transfercli.workflows.logged_model import answers_of_output
from transfercli.workflows.predict.loadable import ModelOutput

SECONDS = 5.0  # between two writes
SHARE = 0.01  # of the time, at most, that writing takes: a large sample is written less often


class AnswerLog:
    """Log of the answers of one model in one process. All methods are safe for threads.

    A thread writes what is new every `SECONDS`. An error then is a warning, and what is new stays for the next time;
    `close` raises it. Use it as a context manager.
    """

    def __init__(
        self,
        folder: Path,
        facts: ModelFacts,
        keep_images: int = 0,
        reporter: Reporter | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Open a log for a model.

        keep_images: number of the least sure images that are kept as files. clock: seconds since 1970.

        Raises `UsageError` if the folder cannot be written, or images are to be kept of a model without a confidence,
        `ArtefactError` if the log is damaged.
        """
        if keep_images and facts.has_numbers:
            raise UsageError(
                "--keep-images keeps those with the lowest confidence, and a number has none", "leave it out"
            )
        self.facts, self._reporter, self._clock = facts, reporter or Reporter(), clock
        self._folder = open_model_folder(folder, facts)
        self._kept = KeptImages(self._folder, keep_images) if keep_images else None
        self._counting, self._keeping, self._writing = threading.Lock(), threading.Lock(), threading.Lock()
        self._days: list[_Day] = []  # the current one is the last; earlier ones are not written yet
        self._failing = False
        self._compact()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._write_regularly, name="answer-log", daemon=True)
        self._thread.start()

    def record(
        self, images: Sequence[np.ndarray], output: ModelOutput, files: Sequence[bytes | Path | None] = ()
    ) -> None:
        """Add a batch of answers.

        images: N of the model's input, uint8 [H, W, 3]. output: its first N rows are theirs, others are padding.
        files: of the images, their bytes or path, None for one without; () if there are none.
        """
        answers = answers_of_output(output, len(images), self.facts)
        features = None if output.features is None else output.features[: len(images)]
        finite = np.isfinite(answers.probabilities).all(axis=-1).reshape(len(images))
        pictures: list[tuple[np.ndarray, bytes | Path | None]] = [
            pair for pair, kept in zip(zip_longest(images, files), finite, strict=True) if kept
        ]
        if not finite.all():
            answers = answers.at(np.flatnonzero(finite))
            features = None if features is None else features[finite]
        keys, now = keys_of([pixels for pixels, _ in pictures]), self._clock()
        with self._counting:
            self._day(now).add(answers, keys, features, int((~finite).sum()), int(now))
        if self._kept:
            self._keep(pictures, answers, now)

    def record_failed(self, images: int) -> None:
        """Add images that could not be read."""
        if images:
            now = self._clock()
            with self._counting:
                self._day(now).fail(images, int(now))

    def flush(self) -> None:
        """Write what is new. Raises `DiskError` or `UsageError` if that fails."""
        with self._writing:
            with self._counting:
                changed = [(day, day.content(self.facts.key)) for day in self._days if day.changed]
                for day, _ in changed:
                    day.changed = False
            try:
                for day, content in changed:
                    write_log_file(self._folder / day.file, content)
            except TransferError:
                for day, _ in changed:
                    day.changed = True
                raise
            with self._counting:
                past = len(self._days) > 1
                self._days = [day for day in self._days[:-1] if day.changed] + self._days[-1:]
            if self._kept:
                with self._keeping:
                    self._kept.write()
            if past:
                self._compact()

    def close(self) -> None:
        """End the thread and write what is new. Raises as `flush`."""
        self._closed.set()
        self._thread.join()
        self.flush()

    def __enter__(self) -> AnswerLog:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _write_regularly(self) -> None:
        seconds = SECONDS
        while not self._closed.wait(seconds):
            start = time.monotonic()
            self._try_flush()
            seconds = max(SECONDS, (time.monotonic() - start) / SHARE)

    def _try_flush(self) -> None:
        """Write what is new; of several failures in a row, only the first is a warning."""
        try:
            self.flush()
            self._failing = False
        except TransferError as error:
            if not self._failing:
                self._reporter.warning(f"the answer log could not be written, and is tried again: {error.message}")
            self._failing = True

    def _day(self, now: float) -> _Day:
        """Return the counts of the present day."""
        today = _utc_day(now)
        if not self._days or self._days[-1].day != today:
            self._days.append(_Day(today, new_name(today.isoformat()), Counts.none(len(self.facts.labels))))
        return self._days[-1]

    def _keep(self, images: Sequence[tuple[np.ndarray, bytes | Path | None]], answers: Answers, now: float) -> None:
        """Keep those of the images that are among the least sure."""
        assert self._kept is not None
        confidence = answers.of_image
        with self._keeping:
            for row in np.argsort(confidence, kind="stable"):
                if not self._kept.wants(float(confidence[row])):
                    break
                given = [label for label, has in zip(self.facts.labels, answers.given[row], strict=True) if has]
                self._kept.add(
                    float(confidence[row]),
                    content_of(*images[row]),
                    LabelSet.of(given).text if self.facts.several else given[0],
                    None if answers.strange is None else bool(answers.strange[row]),
                    f"{datetime.fromtimestamp(now, UTC):%Y-%m-%dT%H:%M:%SZ}",
                )
            full = self._kept.full
        if full:
            self._try_flush()

    def _compact(self) -> None:
        try:
            compact(self._folder, self.facts, _utc_day(self._clock()))
        except TransferError as error:
            self._reporter.warning(f"earlier files of the answer log stay as they are: {error.message}")


@dataclass(eq=False)
class _Day:
    """Answers of one UTC day. file: its name; changed: True if it was not written since the last answer."""

    day: date
    file: str
    counts: Counts
    sample: Reservoir | None = None
    changed: bool = False

    def add(self, answers: Answers, keys: Keys, features: np.ndarray | None, failed: int, now: int) -> None:
        self.fail(failed, now)
        self.counts.add(answers, now)
        if self.sample is None:
            self.sample = Reservoir(0 if features is None else features.shape[1], self.counts.labels)
        self.sample.add(keys, features, answers.probabilities)
        self.changed = True

    def fail(self, images: int, now: int) -> None:
        self.counts.fail(images, now)
        self.changed = True

    def content(self, model: str) -> LogFile:
        """Return a copy of the day as it is written."""
        counts = sum_of([self.counts], self.counts.labels)
        sample = self.sample.sample() if self.sample else Sample.none(0, counts.labels)
        return LogFile(model, {self.day: counts}, sample)


def check_log_place(log: Path, images: Sequence[Path]) -> None:
    """Raise `UsageError` if images that a log keeps would be asked for again: of this one, or of another."""
    place = log.resolve()
    for path in images:
        if path.is_dir() and place.is_relative_to(path.resolve()):
            raise UsageError(f"--log {log} is in {path}, whose images are predicted", "name a folder outside of it")
        if kept_by := logs_among(path):
            raise UsageError(
                f"--log {log}: {path} has images that the log {kept_by[0]} kept, which were asked for before",
                "leave out --log, or name other images",
            )


def _utc_day(now: float) -> date:
    return datetime.fromtimestamp(now, UTC).date()
