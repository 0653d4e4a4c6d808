"""Worker process of a sweep: it trains trial after trial, so that Keras is imported once.

Usage: python -m transfercli.workflows.sweep.worker

It reads messages on stdin and writes messages on stdout, one JSON object a line (`messages.py`). Everything that a
library prints goes to stderr. If its supervisor is gone, it stops at the next safe point.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from transfercli.errors import DiskError, Interrupted, UsageError
from transfercli.io.session import shared_session
from transfercli.reporting import Reporter
from transfercli.runs import record
from transfercli.runs.folder import RunFolder
from transfercli.runs.listing import recorded
from transfercli.runs.record import is_flattered
from transfercli.workflows.sweep.messages import Receiver, Sender, row_as_message
from transfercli.workflows.sweep.training import Pruned, train_trial
from transfercli.workflows.sweep.trials import OtherImagesError, TrialSpec

GRACE_SECONDS = 8.0  # from a request to stop to the end of the process, if it reaches no safe point before
PROGRESS_SECONDS = 0.2  # between two messages of progress


class Supervisor:
    """The process that this worker trains for. Messages are read by a thread, which also notices its end."""

    def __init__(self, receiver: Receiver, sender: Sender) -> None:
        self.send = sender
        self.messages: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self.signum = 0
        self.describe: Callable[[int], Interrupted] = Interrupted
        threading.Thread(target=self._read, args=(receiver,), daemon=True, name="supervisor").start()

    def _read(self, receiver: Receiver) -> None:
        for message in receiver:
            if "stop" in message:
                self.stop(message["stop"])
            else:
                self.messages.put(message)
        self.stop(signal.SIGTERM)

    def stop(self, signum: int) -> None:
        """Ask the training to stop at its next safe point; end the process if it comes to none."""
        if not self.signum:
            self.signum = signum
            self.messages.put(None)
            timer = threading.Timer(GRACE_SECONDS, self._end_process)
            timer.daemon = True
            timer.start()

    def _end_process(self) -> None:
        try:
            self.describe(self.signum)  # sets the status of the run
        finally:
            os._exit(128 + self.signum)

    def check(self) -> None:
        """Raise `Interrupted` if the training is to stop."""
        if self.signum:
            raise Interrupted(self.signum)

    def receive(self) -> dict[str, Any] | None:
        """Return the next message; None at the end."""
        return None if self.signum else self.messages.get()


class TrialReporter(Reporter):
    """Reporter of a trial, which passes everything to the supervisor and lets it decide if the trial goes on."""

    def __init__(self, supervisor: Supervisor, spec: TrialSpec) -> None:
        self.supervisor, self.spec = supervisor, spec
        self._run: RunFolder | None = None
        self._shown = ("", 0.0)

    def info(self, text: str) -> None:
        self.supervisor.send(info=text)

    def debug(self, text: str) -> None:
        self.supervisor.send(debug=text)

    def warning(self, text: str) -> None:
        self.supervisor.send(warning=text)

    def progress(self, stage: str, done: int, total: int, unit: str = "images") -> None:
        self.supervisor.check()
        last_stage, shown = self._shown
        if stage != last_stage or done == total or time.monotonic() - shown > PROGRESS_SECONDS:
            self._shown = (stage, time.monotonic())
            self.supervisor.send(progress=[stage, done, total, unit])

    def epoch(self, record: dict[str, Any], total: int) -> None:
        """Report an epoch. Raises `Pruned` if the supervisor ends the trial; the last epoch needs no decision.

        Nor do epochs whose metrics are too good, as an ancestor learnt from the images.
        """
        self.supervisor.send(epoch=record, total=total)
        epoch = record["epoch"]
        if self.spec.folds or not 1 <= epoch < total:  # a solved phase is no epoch
            return
        if self._run is not None and is_flattered(recorded(self._run)):
            return
        value = record[self.spec.metric]
        if self.looks_bad(epoch, value):
            self._mark_pruned(epoch, value)
            raise Pruned(f"{self.spec.metric} {value:.4g} after epoch {epoch} is worse than that of most other trials")

    def looks_bad(self, step: int, value: float) -> bool:
        """Report the metric of an epoch, or after a fold; return True if the trial is to end."""
        self.supervisor.send(step=step, value=value)
        answer = self.supervisor.receive()
        return answer is not None and bool(answer["prune"])

    def _mark_pruned(self, epoch: int, value: float) -> None:
        if self._run is not None:
            record.update(self._run, pruned={"epoch": epoch, self.spec.metric: value})

    def describe_forced_stop(self, describe: Callable[[int], Interrupted]) -> None:
        self.supervisor.describe = describe

    def attach_log(self, path: Any) -> None:
        self._run = RunFolder(path.parent)
        self.supervisor.send(log=str(path))

    def detach_log(self) -> None:
        self.supervisor.send(log=None)


def main() -> None:
    """Train the trials that the supervisor sends, until it sends no more."""
    sender = Sender(os.dup(sys.stdout.fileno()))
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # libraries may print
    supervisor = Supervisor(Receiver(sys.stdin.buffer), sender)
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, lambda number, _: supervisor.stop(number))
    with shared_session():
        while (message := supervisor.receive()) is not None:
            _train(TrialSpec.from_json(message["trial"]), supervisor)


def _train(spec: TrialSpec, supervisor: Supervisor) -> None:
    """Train a trial, and send what became of it."""
    try:
        reporter = TrialReporter(supervisor, spec)
        row = train_trial(spec, reporter, reporter.looks_bad)
    except (DiskError, UsageError, OtherImagesError) as fatal:
        supervisor.send(fatal=[fatal.kind, fatal.message, fatal.hint])
    else:
        supervisor.send(done=row_as_message(row))


if __name__ == "__main__":
    main()
