"""SIGINT and SIGTERM: asked once, a command stops where nothing is lost; asked twice, at once."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from transfercli.errors import Interrupted


class StopRequest:
    """Whether a signal asked the command to stop.

    The handler only takes a note: raising from it could land inside a library's callback, where exceptions vanish.
    """

    def __init__(self) -> None:
        self.signum = 0

    def check(self) -> None:
        """Raise `Interrupted` if asked to stop."""
        if self.signum:
            raise Interrupted(self.signum)

    def _note(self, signum: int, frame: FrameType | None) -> None:
        if self.signum:
            _say("stopped at once; whole epochs are kept, and the run's id resumes it")
            os._exit(128 + signum)  # every file on disk is whole at every moment, so this loses nothing
        self.signum = signum
        _say("stopping where nothing is lost, in a few seconds; once more stops at once")

    @contextmanager
    def listening(self) -> Iterator[None]:
        before = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _say(text: str) -> None:
    """Tell it now and unbuffered: the next safe point may be an import of Keras away."""
    with suppress(OSError):
        os.write(2, f"\n{text}\n".encode())
