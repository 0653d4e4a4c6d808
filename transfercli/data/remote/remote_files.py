"""Remote files of one pass of ingest: their states by version, and their content as it arrives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from transfercli.data.archive_members import archive_of
from transfercli.data.image import FileState
from transfercli.data.remote.arrivals import Arrivals, room_for
from transfercli.data.remote.versions import address_for, check_versions, fetch_now, mirror_at
from transfercli.data.remote.whole_files import fetch_whole
from transfercli.io.addresses import COPIES, address_of


class RemoteFiles:
    """Files of a pass that are local copies of remote objects, or members of such archives.

    Attributes:
        copies: all of them. objects: those that are fetched one by one, when they are read.
        states: file -> state by the version of its object, of files that the server has.
        problems: file -> why its object cannot be had.
    """

    def __init__(
        self, files: Sequence[str], cache: Path, max_bytes: int, max_file_bytes: int, on_wait: Callable[[], None]
    ) -> None:
        self.cache, self.on_wait = cache, on_wait
        self._archives = {file: archive_of(file) for file in files if file.startswith(f"{cache / COPIES}/")}
        self.copies = frozenset(self._archives)
        self.objects = frozenset(file for file, archive in self._archives.items() if not archive)
        self.states, self.problems = dict[str, FileState](), dict[str, str]()
        self._arrivals: Arrivals | None = None
        archives = [*dict.fromkeys(archive for archive in self._archives.values() if archive)]
        if archives and not fetch_whole(archives, cache, max_bytes, on_wait):  # members of a lost one do not exist
            known = mirror_at(cache).states(archives)
            self.states = {file: known[archive] for file, archive in self._archives.items() if archive in known}
        if self.objects:
            names = [file for file in files if file in self.objects]
            self.problems = check_versions(names, cache, on_wait)
            for file, found in mirror_at(cache).versions(names).items():
                if found.size > max_file_bytes:
                    self.problems[file] = f"too large: {found.size >> 20} MiB, at most {max_file_bytes >> 20} are read"
            self.states |= mirror_at(cache).states([file for file in names if file not in self.problems])

    def arriving(self, files: Sequence[str], max_bytes: int) -> Arrivals:
        """Return the files as their content arrives, the local ones first.

        max_bytes: size of all local copies together, as far as the disk has room.
        """
        mirror = mirror_at(self.cache)
        address = partial(address_for, folder=self.cache)
        room = room_for(mirror, max_bytes)
        self._arrivals = Arrivals(mirror, files, self.objects, address, room, self.on_wait, self.problems)
        return self._arrivals

    def used(self, file: str) -> None:
        """Note that the content of a file was read."""
        if self._arrivals is not None:
            self._arrivals.used(file)

    def key(self, file: str) -> str:
        """Return the name under which the cache knows a file: the address of a copy, in whatever folder it lies."""
        return address_of(file, self.cache) if file in self.copies else file

    def fetch(self, file: str) -> str:
        """Fetch one file if its content is not here, and return it. A file that cannot be had stays missing."""
        if file in self.copies:
            fetch_now([self._archives[file] or file], self.cache, self.on_wait)
        return file
