"""SIGINT and SIGTERM: the first stops a command at a safe point, the second at once.

Python runs a signal handler only after the current training step, which may take long. So a thread waits for signals,
and the kernel wakes it at once. If the command reaches no safe point within `GRACE_SECONDS`, the process ends as if it
were killed, which loses no complete epoch. Before that the run's record is updated and a message is printed.
"""

from __future__ import annotations

import os
import selectors
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from transfercli.cli.streams import write_now
from transfercli.errors import Interrupted, TransferError, exit_code

SIGNALS = (signal.SIGINT, signal.SIGTERM)
GRACE_SECONDS = 12.0  # part of the 20 s that a stop may take
ENDED = 0  # tells the thread that the command has ended; no signal has this number


class StopRequest:
    """Request to stop, made by a signal or by the end of another process of the same training.

    print_forced_stop: prints the message of a stop without a safe point, right before the process ends; called from
    another thread.
    """

    def __init__(self, print_forced_stop: Callable[[TransferError], None] | None = None) -> None:
        self.signum = 0
        self.error: TransferError | None = None  # of another process
        self.print_forced_stop = print_forced_stop
        self.describe: Callable[[int], Interrupted] = Interrupted

    def check(self) -> None:
        """Raise `Interrupted` if a signal was received, or the error of a request."""
        if self.signum:
            raise Interrupted(self.signum)
        if self.error is not None:
            raise self.error

    def request(self, error: TransferError) -> None:
        """Make `check` raise `error`. Any thread may call it."""
        self.error = self.error or error

    def end(self, error: TransferError) -> None:
        """Print an error and end the process."""
        try:
            if self.print_forced_stop:
                self.print_forced_stop(error)
        finally:
            os._exit(exit_code(error))

    @contextmanager
    def handling_signals(self) -> Iterator[None]:
        """Handle SIGINT and SIGTERM: after one of them `check` raises. Must be called in the main thread."""
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        watcher = threading.Thread(target=self._watch, args=(reader,), daemon=True, name="signals")
        former_handlers = {number: signal.signal(number, self._record) for number in SIGNALS}
        former_wakeup = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        watcher.start()
        try:
            yield
        finally:
            signal.set_wakeup_fd(former_wakeup)
            for number, handler in former_handlers.items():
                signal.signal(number, handler)
            os.write(writer, bytes([ENDED]))
            watcher.join()
            os.close(writer)
            os.close(reader)

    def _record(self, signum: int, frame: FrameType | None) -> None:
        """Store the signal's number; an exception raised here could be lost in a callback of a library."""
        self.signum = self.signum or signum

    def _watch(self, reader: int) -> None:
        """Read the numbers of signals from a pipe; end the process at the second one, or after the grace time."""
        deadline: float | None = None
        with selectors.DefaultSelector() as selector:
            selector.register(reader, selectors.EVENT_READ)
            while True:
                seconds_left = None if deadline is None else max(0.0, deadline - time.monotonic())
                if not selector.select(seconds_left):
                    self._end_process()
                number = os.read(reader, 1)[0]
                if number == ENDED:
                    return
                if number not in SIGNALS:
                    continue
                if deadline is not None:
                    write_now(2, "\nstopped at once; complete epochs are kept, and the run can be resumed by its id\n")
                    os._exit(128 + number)  # files on disk are complete at any time, so nothing is lost
                self.signum = self.signum or number
                deadline = time.monotonic() + GRACE_SECONDS
                # Unbuffered: the next safe point may come only after the import of Keras.
                write_now(2, "\nstopping at the next safe point, in a few seconds; a second signal stops at once\n")

    def _end_process(self) -> None:
        try:
            self.end(self.describe(self.signum))
        finally:
            os._exit(128 + self.signum)
