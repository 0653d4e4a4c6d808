"""Files in the order in which they arrive: remote ones are fetched by several threads, a bounded way ahead."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from transfercli.data.remote.fetch import fetch
from transfercli.data.remote.mirror import Mirror
from transfercli.data.remote.store import RemoteError, RemoteFile
from transfercli.data.remote.stores import store_of
from transfercli.errors import DataError
from transfercli.text import counted

CONNECTIONS = 16
AHEAD_FILES = 256  # fetched or being fetched, and not used yet
AHEAD_BYTES = 256 * 1024 * 1024
_NOTED = 64  # copies that are recorded at once
POLL_SECONDS = 0.2


def no_wait() -> None:
    """Do nothing, as the report of a wait that nobody sees."""


def if_main(on_wait: Callable[[], None]) -> None:
    """Report a wait, which may raise to stop the work, if this is the main thread."""
    if threading.current_thread() is threading.main_thread():
        on_wait()


def room_for(mirror: Mirror, max_bytes: int) -> int:
    """Return the bytes that local copies may have: `max_bytes` as far as the disk has room, and what is read ahead."""
    return max(AHEAD_BYTES, min(max_bytes, mirror.total() + mirror.free()))


class _Ahead:
    """Files that are being fetched, or were and are not read yet; for several threads."""

    def __init__(self) -> None:
        self._sizes, self._bytes, self._lock = dict[str, int](), 0, threading.Lock()

    def add(self, file: str, size: int) -> None:
        with self._lock:
            self._sizes[file] = size
            self._bytes += size

    def remove(self, file: str) -> None:
        with self._lock:
            self._bytes -= self._sizes.pop(file, 0)

    def has_room(self, size: int, most: int) -> bool:
        """Return True if a file of `size` bytes may be fetched as well, of `most` bytes in all."""
        return self._bytes + size <= most and len(self._sizes) < AHEAD_FILES

    def files(self) -> list[str]:
        with self._lock:
            return [*self._sizes]


class Arrivals(Iterator[tuple[int, str]]):
    """Iterator of (index into the files, file), for several threads. Close it, from any thread, to end it early.

    Of the files, `objects` are fetched; the others can be read already.

    It raises `DataError` if a server cannot be reached any more; what was fetched is kept.

    Attributes:
        problems: file -> why it cannot be had, of files that are left out.
    """

    def __init__(
        self,
        mirror: Mirror,
        files: Sequence[str],
        objects: Collection[str],
        address_of: Callable[[str], str],
        max_bytes: int,
        on_wait: Callable[[], None] = no_wait,
        problems: Mapping[str, str] | None = None,
    ) -> None:
        self.mirror, self.files, self.address_of, self.max_bytes = mirror, files, address_of, max_bytes
        self.on_wait, self.problems = on_wait, dict(problems or {})
        remote = [file for file in files if file in objects and file not in self.problems]
        self._versions, wanted = mirror.versions(remote), {*mirror.missing(remote)}
        self._wanted = len(wanted)
        asked = [(number, file) for number, file in enumerate(files) if file not in self.problems]
        self._ready = deque((number, file) for number, file in asked if file not in wanted)
        self._waiting = deque((number, file) for number, file in asked if file in wanted)
        self._running: dict[Future[int], tuple[int, str]] = {}
        self._ahead, self._sizes = _Ahead(), dict[str, int]()
        self._lock, self._stop = threading.Lock(), threading.Event()
        self._threads = ThreadPoolExecutor(CONNECTIONS, "fetch")
        self._fetched = 0

    def __next__(self) -> tuple[int, str]:
        while not self._stop.is_set():
            with self._lock:
                if self._ready:
                    return self._ready.popleft()
                self._submit()
                if not self._running:
                    break
                done, _ = wait(self._running, POLL_SECONDS, FIRST_COMPLETED)
                self._take([future for future in self._running if future in done])
            if_main(self.on_wait)
        self.close()
        raise StopIteration

    def used(self, file: str) -> None:
        """Note that a file was read, so that its copy may give way to others."""
        self._ahead.remove(file)

    def close(self) -> None:
        """End the transfers that have not begun, and the pauses of those that have."""
        self._stop.set()
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._note()

    def _submit(self) -> None:
        """Start transfers as far ahead as allowed; at least one if nothing else is on its way."""
        while self._waiting:
            number, file = self._waiting[0]
            size = max(self._versions[file].size if file in self._versions else 0, 0)
            if self._running and not self._ahead.has_room(size, min(AHEAD_BYTES, self.max_bytes)):
                return
            self._waiting.popleft()
            self._ahead.add(file, size)
            self._running[self._threads.submit(self._fetch, file)] = number, file

    def _fetch(self, file: str) -> int:
        address = self.address_of(file)
        known = self._versions.get(file) or RemoteFile(address, -1, "")
        return fetch(self.mirror, store_of(address), address, known, file, self._stop)

    def _take(self, done: Sequence[Future[int]]) -> None:
        """Hand on what has arrived. Raises `DataError` if a server is gone."""
        lost: RemoteError | None = None
        for future in done:
            number, file = self._running.pop(future)
            try:
                self._sizes[file] = future.result()
            except RemoteError as error:
                lost = error if error.may_pass else lost
                self.problems[file] = error.reason
                self._ahead.remove(file)
                continue
            self._fetched += 1
            self._ready.append((number, file))
        if lost is not None:
            raise self._unreachable(lost)
        if len(self._sizes) >= _NOTED:
            self._note()

    def _note(self) -> None:
        sizes, self._sizes = self._sizes, {}
        if sizes:
            self.mirror.stored(sizes)
            self.mirror.make_room(self.max_bytes, self._ahead.files())

    def _unreachable(self, error: RemoteError) -> DataError:
        self.close()
        begun = {future: file for future, (_, file) in self._running.items() if not future.cancelled()}
        wait(begun)  # they end with what they have
        for future, file in begun.items():
            if future.exception() is None:
                self._sizes[file] = future.result()
                self._fetched += 1
        self._note()
        kept = f"{counted(self._fetched, 'file')} of {self._wanted} fetched and kept in the cache"
        rest = "" if not self._fetched else f"; the same command goes on with the other {self._wanted - self._fetched}"
        return DataError(f"{error.reason} ({kept})", f"{error.hint}, and start the same command again{rest}")
