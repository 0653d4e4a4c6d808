"""Pool of worker processes that train the trials of a sweep; this process imports no Keras.

A worker that the kernel kills, for example for memory, is one failed trial: a new worker trains the next.
"""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import transfercli
from transfercli import errors
from transfercli.errors import EXIT_CODES, Interrupted, TransferError, child_ran_out_of_space
from transfercli.io.cores import usable_cores
from transfercli.reporting import Reporter
from transfercli.runs import record
from transfercli.runs.folder import RunFolder
from transfercli.text import counted, duration
from transfercli.workflows.sweep.messages import Receiver, Sender, row_from_message
from transfercli.workflows.sweep.result import TrialRow
from transfercli.workflows.sweep.trials import TrialSource, TrialSpec

WORKER = ["-m", "transfercli.workflows.sweep.worker"]
STOP_SECONDS = 10.0  # for the workers to reach a safe point; below the grace time of the command itself
TICK_SECONDS = 0.2
STDERR_SECONDS = 2.0  # for the last lines of a worker that has ended, whose own children may keep its stderr open
LAST_LINES = 50  # of a worker's stderr, for the reason why it died
RETIRED_AFTER = {EXIT_CODES["bug"], EXIT_CODES["room"]}  # a worker in an unknown state, or with its memory in pieces
FATAL = {one.kind: one for one in (errors.UsageError, errors.DiskError, errors.DataError)}


def train_trials(source: TrialSource, jobs: int, reporter: Reporter) -> None:
    """Train the trials of a source in `jobs` processes, until it gives no more and none is running.

    A trial that fails does not end the sweep: its `TrialRow` says why. At SIGINT and SIGTERM, and after an error that
    is not the trial's fault, the running trials stop at a safe point and are `done` with state interrupted.

    Raises `Interrupted`, `DiskError` if the disk is full, `UsageError` if no trial could be trained, `DataError` if the
    images have changed since the trials before.
    """
    pool = _Pool(source, jobs, reporter)
    try:
        pool.run()
    except BaseException as error:
        pool.stop(error.signum if isinstance(error, Interrupted) else signal.SIGTERM)
        raise
    finally:
        pool.close()


def threads_of_each(jobs: int) -> int | None:
    """Return the threads of each of several training processes; None for one, which uses all cores."""
    return None if jobs == 1 else max(1, usable_cores() // jobs)


@dataclass
class _Training:
    """Trial in training."""

    spec: TrialSpec
    reporter: Reporter
    log: Path | None = None


@dataclass(eq=False)
class _Worker:
    """Worker process.

    training: None while it waits for a trial. retired: it gets no more. last_lines: of its stderr.
    """

    process: subprocess.Popen[bytes]
    send: Sender
    training: _Training | None = None
    retired: bool = False
    last_lines: deque[str] = field(default_factory=lambda: deque(maxlen=LAST_LINES))


Event = tuple[_Worker, dict[str, Any] | str | None]  # a message, a line of stderr, or the end of the process


class _Pool:
    """Workers, and what they report, which threads collect in one queue."""

    def __init__(self, source: TrialSource, jobs: int, reporter: Reporter) -> None:
        self.source, self.jobs, self.reporter = source, jobs, reporter
        self.workers: list[_Worker] = []
        self.events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self.stopping = False

    def run(self) -> None:
        """Train until the source gives no more trials."""
        more = True
        while True:
            while more and len(self._busy) < self.jobs:
                spec = self.source.next()
                if more := spec is not None:
                    self._begin(spec)
            if not self._busy:
                return
            more = self._take(TICK_SECONDS) or more
            self.reporter.progress("sweep", *self.source.progress, "trials")

    @property
    def _busy(self) -> list[_Worker]:
        return [worker for worker in self.workers if worker.training]

    def _begin(self, spec: TrialSpec) -> None:
        idle = (worker for worker in self.workers if not (worker.training or worker.retired))
        worker = next(idle, None) or self._start_worker()
        worker.training = _Training(spec, self.reporter.part(spec.name))
        worker.send(trial=spec.as_json())

    def _start_worker(self) -> _Worker:
        package = os.fspath(Path(transfercli.__file__).parent.parent)
        path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
        process = subprocess.Popen(
            [sys.executable, "-P", *WORKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ, "PYTHONPATH": path},
            process_group=0,  # Ctrl-C reaches only this process, which stops the workers at their next safe point
        )
        assert process.stdin is not None
        worker = _Worker(process, Sender(os.dup(process.stdin.fileno())))
        process.stdin.close()
        stderr = threading.Thread(target=self._follow_stderr, args=(worker,), daemon=True)
        stderr.start()
        threading.Thread(target=self._follow_messages, args=(worker, stderr), daemon=True).start()
        self.workers.append(worker)
        return worker

    def _follow_messages(self, worker: _Worker, stderr: threading.Thread) -> None:
        assert worker.process.stdout is not None
        for message in Receiver(worker.process.stdout):
            self.events.put((worker, message))
        worker.process.wait()
        stderr.join(STDERR_SECONDS)
        self.events.put((worker, None))

    def _follow_stderr(self, worker: _Worker) -> None:
        assert worker.process.stderr is not None
        with worker.process.stderr as lines:
            for line in lines:
                self.events.put((worker, line.decode("utf-8", "replace").rstrip()))

    # -- events

    def _take(self, seconds: float) -> bool:
        """Take the next event, for which it waits; return True if a trial is done."""
        try:
            worker, event = self.events.get(timeout=seconds)
        except queue.Empty:
            return False
        if isinstance(event, str):
            worker.last_lines.append(event)
            (worker.training.reporter if worker.training else self.reporter).debug(event)
            return False
        if event is None:
            return self._end_of(worker)
        training = worker.training
        if training is None:
            return False
        if "done" in event:
            self._finish(worker, row_from_message(event["done"]))
            return True
        if "fatal" in event:
            kind, message, hint = event["fatal"]
            self._finish(worker, replace(_row(training), state="interrupted", reason=message))
            if self.stopping:
                return True
            raise FATAL.get(kind, TransferError)(message, hint)
        self._report(worker, training, event)
        return False

    def _report(self, worker: _Worker, training: _Training, event: dict[str, Any]) -> None:
        """Pass a call of a worker's reporter on; answer a step after which the trial may end."""
        reporter = training.reporter
        for name in ("info", "debug", "warning"):
            if name in event:
                getattr(reporter, name)(event[name])
        if "progress" in event and not self.stopping:
            reporter.progress(*event["progress"])
        if event.get("log"):
            training.log = Path(event["log"])
            reporter.attach_log(training.log)
        elif "log" in event:
            reporter.detach_log()
        if "epoch" in event:
            reporter.epoch(event["epoch"], event["total"])
        if "step" in event:
            report = partial(self.source.report, training.spec.number, event["step"], event["value"])
            worker.send(prune=not self.stopping and report())

    def _finish(self, worker: _Worker, row: TrialRow) -> None:
        assert worker.training is not None
        training, worker.training = worker.training, None
        training.reporter.close()
        self._report_end(training.spec, row)
        self.source.done(row)
        if row.code in RETIRED_AFTER:
            worker.retired = True
            worker.send.close()

    def _report_end(self, spec: TrialSpec, row: TrialRow) -> None:
        """Report what became of a trial in one line."""
        if row.state == "failed":
            self.reporter.warning(f"{spec.name} failed: {row.reason}")
            return
        lines = {
            "completed": f"{spec.metric} {row.value or 0.0:.4f}, {duration(row.seconds or 0.0)}",
            "pruned": f"ended early: {row.reason}",
            "running": f"left to another process: {row.reason}",
        }
        if row.state in lines:
            self.reporter.info(f"{spec.name}: {lines[row.state]}")

    def _end_of(self, worker: _Worker) -> bool:
        """Take the end of a process; return True if it ends a trial."""
        if worker in self.workers:
            self.workers.remove(worker)
        worker.send.close()
        training = worker.training
        if training is None:
            return False
        row = _row(training)
        if self.stopping or worker.process.returncode in (128 + signal.SIGINT, 128 + signal.SIGTERM):
            self._finish(worker, replace(row, state="interrupted"))
            return True
        reason, code = _death(worker)
        if row.run is not None and record.status_of(RunFolder(row.run)) == "running":
            kind = "OutOfSpaceError" if code == EXIT_CODES["room"] else "WorkerDied"
            with suppress(TransferError, OSError):
                record.update(RunFolder(row.run), status="failed", finished=record.utc_now(), failure=kind)
        self._finish(worker, replace(row, state="failed", reason=reason, code=code))
        return True

    # -- end

    def stop(self, signum: int) -> None:
        """Stop the running trials at a safe point, and take what becomes of them; end workers that reach none."""
        self.stopping = True
        if busy := self._busy:
            self.reporter.info(f"stopping {counted(len(busy), 'running trial')} at a safe point")
        for worker in busy:
            worker.send(stop=int(signum))
        deadline = time.monotonic() + STOP_SECONDS
        while self._busy and time.monotonic() < deadline:
            self._take(TICK_SECONDS)
        for worker in self._busy:
            worker.process.kill()
            worker.process.wait()
            assert worker.training is not None
            row = _row(worker.training)
            if row.run is not None:
                record.mark_interrupted(RunFolder(row.run))
            self._finish(worker, replace(row, state="interrupted"))

    def close(self) -> None:
        """End the idle workers."""
        for worker in self.workers:
            worker.send.close()
        for worker in self.workers:
            try:
                worker.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                worker.process.kill()
                worker.process.wait()


def _row(training: _Training) -> TrialRow:
    """Return a trial without a result. Its run is known from the moment that it has a log."""
    run = training.log.parent if training.log else None
    return TrialRow(training.spec.number, training.spec.values, "running", run, (run,) if run else ())


def _death(worker: _Worker) -> tuple[str, int]:
    """Return why a process that was not asked to stop ended, and the exit code of such a training."""
    code, lines = worker.process.returncode, "\n".join(worker.last_lines)
    last = next((line for line in reversed(worker.last_lines) if line.strip()), "")
    if code == -signal.SIGKILL:
        return "its process was killed, most likely because memory ran out", EXIT_CODES["room"]
    ended = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
    words = f"its process ended {ended}{': ' if last else ''}{last[:200]}"
    return words, EXIT_CODES["room"] if child_ran_out_of_space(code, lines) else EXIT_CODES["bug"]
