"""SIGINT and SIGTERM: asked once, a command stops where nothing is lost; asked twice, at once.

A handler in Python runs when the interpreter gets to it, which may be a long training step away. So a thread watches:
the kernel wakes it at once, whatever the command is doing. A command that finds no place to stop within `GRACE_SECONDS`
is ended like one that is killed, which loses no whole epoch, after what is known of it has been noted and told.
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
GRACE_SECONDS = 12.0  # of the twenty that a stop may take
ENDED = 0  # written to the watching thread where the command has ended; no signal has this number


class StopRequest:
    """Whether a signal asked the command to stop.

    farewell: tells of a stop that could not wait, right before the process ends; called from another thread.
    """

    def __init__(self, farewell: Callable[[Interrupted], None] | None = None) -> None:
        self.signum = 0
        self.farewell = farewell
        self.describe: Callable[[int], Interrupted] = Interrupted

    def check(self) -> None:
        """Raise `Interrupted` if asked to stop."""
        if self.signum:
            raise Interrupted(self.signum)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """In the main thread: from a signal on, `check` raises."""
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
        """Only a note: raising here could land inside a library's callback, where exceptions vanish."""
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
    """Tell it now and unbuffered: the next safe point may be an import of Keras away."""
    with suppress(OSError):
        os.write(2, f"\n{text}\n".encode())
