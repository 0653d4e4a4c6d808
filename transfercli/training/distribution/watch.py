"""Watch over the other processes of a training: one that dies, fails or is stopped ends them all.

A collective operation waits for every process, for ever if one is gone, and all Python code of the main thread waits
with it. So a thread sends and awaits signs of life, and ends the process if the main thread reaches no safe point.
"""

from __future__ import annotations

import selectors
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from transfercli.errors import Interrupted, PeerLostError, TransferError, exit_code
from transfercli.reporting import Reporter
from transfercli.training.distribution.links import Kind, Message
from transfercli.training.distribution.meeting import Meeting

POLL_SECONDS = 0.25
BEAT_SECONDS = 1.0  # between signs of life; less if the time-out is short
GRACE_SECONDS = 3.0  # for the main thread to reach a safe point, once a process is lost or has ended
FAILURE_SECONDS = 1.0  # for the main thread to raise what the processes agreed on, once one has failed
STOP_SECONDS = 10.0  # the same, once a process was asked to stop: it may end an epoch first
STOPPED = {128 + number: number for number in (signal.SIGINT, signal.SIGTERM)}

Describe = Callable[[TransferError], TransferError]


class Watch:
    """Signs of life to and from the processes of a meeting.

    timeout: seconds without one after which a process is lost. reporter: is asked to stop the main thread's work, and
    to end the process if that does not happen. describe: completes the error of that end, for example by the command
    that goes on; called right before it, in the thread of the watch.
    """

    def __init__(self, meeting: Meeting, timeout: float, reporter: Reporter, describe: Describe) -> None:
        self.meeting, self.timeout, self.reporter, self.describe = meeting, timeout, reporter, describe
        self.reason: TransferError | None = None  # to end this process: something happened to another one
        self._decided = threading.Event()  # the reason is there
        self._stop_at = self._deadline = float("inf")  # times to ask the main thread to stop, and to end the process
        self._links = dict(meeting.links)
        self._finished: set[int] = set()
        self._signalled = self._asked = self._leaving = False
        self._left = threading.Event()
        self._all_finished = threading.Event()
        self._lock = threading.RLock()
        self._thread = threading.Thread(target=self._run, daemon=True, name="watch")
        self._thread.start()

    @property
    def is_chief(self) -> bool:
        """True in the first process."""
        return self._rank == 0

    # -- of the main thread

    def explained(self, error: Exception) -> Exception:
        """Return the reason of an error of this process: another process, if one has gone; else the error itself.

        A collective operation fails as soon as a process is gone; that is known a moment later, or at the latest after
        the time-out.
        """
        if isinstance(error, TransferError):
            return error
        failed = time.monotonic()
        while not self._decided.wait(POLL_SECONDS):
            with self._lock:
                alive = all(link.heard > failed + 2 * self._beat for link in self._links.values())
            if alive or time.monotonic() > failed + self.timeout + GRACE_SECONDS:
                return error
        return self.reason or error

    def finish(self, on_wait: Callable[[], None]) -> None:
        """Wait until all processes have done their work; raises the reason if one is lost before."""
        self._announce(Message(Kind.ENDED, self._rank, 0))
        while not self._all_finished.wait(POLL_SECONDS) and self.reason is None:
            on_wait()
        if self.reason is not None:
            raise self.reason
        self._left.set()

    def leave(self, error: BaseException) -> None:
        """Say that this process ends because of an error.

        The first process stays a moment, until the others have ended: what they still agree on is in its store.
        """
        self._leaving = True
        self._announce_end(error)
        if self.is_chief:
            self._all_finished.wait(GRACE_SECONDS + FAILURE_SECONDS)
        self._left.set()

    def outlasts(self, seconds: float) -> bool:
        """Wait for the watch to end this process; return True if there is no reason to after `seconds`."""
        return not self._decided.wait(seconds)

    # -- of the thread

    @property
    def _rank(self) -> int:
        return self.meeting.place.rank

    @property
    def _beat(self) -> float:
        return min(BEAT_SECONDS, self.timeout / 4)

    def _run(self) -> None:
        beaten = 0.0
        with selectors.DefaultSelector() as selector:
            for rank, link in self._links.items():
                selector.register(link, selectors.EVENT_READ, rank)
            while not self._left.is_set():
                for key, _ in selector.select(min(POLL_SECONDS, self._beat)):
                    if not self._read(key.data):
                        selector.unregister(key.fileobj)
                now = time.monotonic()
                if now >= beaten + self._beat:
                    self._announce(Message(Kind.ALIVE, self._rank))
                    beaten = now
                self._check_silence(now)
                self._pass_signal_on()
                self._enforce(now)
        for link in self.meeting.links.values():
            link.close()

    def _read(self, rank: int) -> bool:
        """Act on the messages from a process; return False if its connection has ended."""
        try:
            messages = self._links[rank].receive()
        except OSError:
            self._lose(rank, "its connection ended")
            return False
        for message in messages:
            self._act(message)
        return True

    def _act(self, message: Message) -> None:
        kind, rank, value = message
        if kind is Kind.STOP:
            self._stop(Interrupted(value if value in STOPPED.values() else signal.SIGTERM), STOP_SECONDS)
        elif kind is Kind.LOST:
            self._stop(PeerLostError(f"{self._name(rank)} is lost"), GRACE_SECONDS)
        elif kind is Kind.ENDED and value == 0:
            self._finished.add(rank)
        elif kind is Kind.ENDED:
            self._end_with(rank, value)
        if self.is_chief and kind in (Kind.STOP, Kind.ENDED):
            self._announce(message, but=rank)
        self._count_finished()

    def _end_with(self, rank: int, code: int) -> None:
        """End this process because another one ends with an exit code other than 0."""
        self._finished.add(rank)  # the end of its connection is no news
        if code in STOPPED:
            self._stop(Interrupted(STOPPED[code]), GRACE_SECONDS)
        else:
            problem = f"{self._name(rank)} ended with exit code {code}; its messages say why"
            self._stop(PeerLostError(problem), GRACE_SECONDS, FAILURE_SECONDS)

    def _check_silence(self, now: float) -> None:
        for rank, link in list(self._links.items()):
            if now > link.heard + self.timeout:
                self._lose(rank, f"no sign of life for {self.timeout:g} s")

    def _lose(self, rank: int, why: str) -> None:
        with self._lock:
            self._links.pop(rank, None)
        if rank in self._finished:
            return
        if self.is_chief:
            self._announce(Message(Kind.LOST, rank))
        self._stop(PeerLostError(f"{self._name(rank)} is lost: {why}"), GRACE_SECONDS)
        self._finished.add(rank)
        self._count_finished()

    def _pass_signal_on(self) -> None:
        if not self._signalled and (number := self.reporter.stop_signal()):
            self._signalled = True
            self._announce(Message(Kind.STOP, self._rank, number))

    def _stop(self, reason: TransferError, grace: float, delay: float = 0.0) -> None:
        """Ask the main thread to stop after `delay` seconds, and set the time for it; the first reason stands."""
        now = time.monotonic()
        self._stop_at = min(self._stop_at, now + delay)
        self._deadline = min(self._deadline, now + delay + grace)
        self.reason = self.reason or reason
        self._decided.set()

    def _enforce(self, now: float) -> None:
        """Ask the main thread to stop, or end the process, if it is time."""
        if self.reason is None or self._leaving:
            return
        if now >= self._stop_at and not self._asked:
            self._asked = True
            self.reporter.stop(self.reason)
        if now >= self._deadline:
            self._announce_end(self.reason)
            self._left.set()
            self.reporter.end(self.describe(self.reason))

    def _count_finished(self) -> None:
        if len(self._finished | {self._rank}) == self.meeting.place.count:
            self._all_finished.set()

    def _announce_end(self, error: BaseException) -> None:
        self._announce(Message(Kind.ENDED, self._rank, min(255, exit_code(error))))

    def _announce(self, message: Message, but: int = -1) -> None:
        """Send a message to all processes that this one is connected to, except one."""
        with self._lock:
            for rank, link in self._links.items():
                if rank != but:
                    with suppress(OSError):  # the end of the connection is read, too
                        link.send(message)

    def _name(self, rank: int) -> str:
        link = self.meeting.links.get(rank)
        at = f" ({link.address})" if link else ""
        return f"process {rank} of {self.meeting.place.count}{at}"


_current: Watch | None = None


def current_watch() -> Watch | None:
    """Return the watch over the other processes; None if there are none."""
    return _current


@contextmanager
def watching(meeting: Meeting, timeout: float, reporter: Reporter, describe: Describe) -> Iterator[Watch]:
    """Watch the processes of a meeting while the block runs; they end it together."""
    global _current
    _current = watch = Watch(meeting, timeout, reporter, describe)
    try:
        yield watch
        watch.finish(lambda: reporter.progress("waiting for the other processes", 0, 0, ""))
    except BaseException as error:
        watch.leave(error)
        raise
    finally:
        _current = None


@contextmanager
def explained_errors() -> Iterator[None]:
    """Raise `PeerLostError` or `Interrupted` for an error of the block that follows from the end of another process."""
    try:
        yield
    except Exception as error:
        reason = error if _current is None else _current.explained(error)
        if reason is error:
            raise
        raise reason from error
