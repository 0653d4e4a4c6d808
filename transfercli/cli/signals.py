"""SIGINT and SIGTERM: the first stops a command at a safe point, the second at once.

A Python handler runs only when the interpreter gets to it, which may be a long training step later. So a thread waits
for signals: the kernel wakes it at once. A command that reaches no safe point within `GRACE_SECONDS` is ended like one
that is killed, which loses no whole epoch. Before that its record is updated and the message is printed.
"""

from __future__ import annotations

import os
import selectors
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from transfercli.errors import Interrupted

SIGNALS = (signal.SIGINT, signal.SIGTERM)
GRACE_SECONDS = 12.0  # of the 20 s that a stop may take
ENDED = 0  # written to the watching thread when the command has ended; no signal has this number


class StopRequest:
    """A request to stop, made by a signal.

    farewell: prints the message of a stop without a safe point, right before the process ends; called from another
    thread.
    """

    def __init__(self, farewell: Callable[[Interrupted], None] | None = None) -> None:
        self.signum = 0
        self.farewell = farewell
        self.describe: Callable[[int], Interrupted] = Interrupted

    def check(self) -> None:
        """Raise `Interrupted` if a signal was received."""
        if self.signum:
            raise Interrupted(self.signum)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Handle signals in the main thread: after one, `check` raises."""
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        watcher = threading.Thread(target=self._watch, args=(reader,), daemon=True, name="signals")
        before = {number: signal.signal(number, self._note) for number in SIGNALS}
        earlier = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        watcher.start()
        try:
            yield
        finally:
            signal.set_wakeup_fd(earlier)
            for number, handler in before.items():
                signal.signal(number, handler)
            os.write(writer, bytes([ENDED]))
            watcher.join()
            os.close(writer)
            os.close(reader)

    def _note(self, signum: int, frame: FrameType | None) -> None:
        """Note the signal; an exception raised here could be lost in a library's callback."""
        self.signum = self.signum or signum

    def _watch(self, reader: int) -> None:
        deadline: float | None = None
        with selectors.DefaultSelector() as selector:
            selector.register(reader, selectors.EVENT_READ)
            while True:
                left = None if deadline is None else max(0.0, deadline - time.monotonic())
                if not selector.select(left):
                    self._force()
                number = os.read(reader, 1)[0]
                if number == ENDED:
                    return
                if number not in SIGNALS:
                    continue
                if deadline is not None:
                    _say("stopped at once; whole epochs are kept, and the run's id resumes it")
                    os._exit(128 + number)  # every file on disk is whole at every moment, so this loses nothing
                self.signum = self.signum or number
                deadline = time.monotonic() + GRACE_SECONDS
                _say("stopping where nothing is lost, in a few seconds; once more stops at once")

    def _force(self) -> None:
        try:
            if self.farewell:
                self.farewell(self.describe(self.signum))
        finally:
            os._exit(128 + self.signum)


def _say(text: str) -> None:
    """Print at once and unbuffered: the next safe point may come only after the import of Keras."""
    with suppress(OSError):
        os.write(2, f"\n{text}\n".encode())
