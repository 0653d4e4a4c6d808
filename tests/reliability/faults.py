"""A disk that fails on purpose: what a program asks of it below one folder is counted, and one call goes wrong.

Python's own calls are seen, which are all that write a run: `os.rename` and its kin, `os.fsync`, and every write of a
file that `open` gave, each write being one system call. SQLite's and TensorFlow's are not.
"""

from __future__ import annotations

# What stands in for the calls of `os` cannot be written with what makes them.
# ruff: noqa: PTH100, PTH110, PTH115, PTH118
import builtins
import contextlib
import errno
import io
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

ONE_PATH = ("mkdir", "rmdir", "unlink", "remove")
TWO_PATHS = ("rename", "replace", "symlink")
GROWS = frozenset({"create", "write", "mkdir", "symlink", "fsync"})  # what a full disk refuses

_REAL = {name: getattr(os, name) for name in (*ONE_PATH, *TWO_PATHS, "fsync")}
_OPEN = io.open


class Crash(BaseException):
    """The process is gone: from here on no call reaches the disk, so nothing tidies up."""


Act = Callable[["Disk", "Call"], Any]


def let(disk: Disk, call: Call) -> Any:
    """Nothing happens to it."""
    return call.do()


@dataclass
class Call:
    """One call: its kind, the path, how to do it, and how to do a part of it (writes only)."""

    kind: str
    path: str
    do: Callable[[], Any]
    half: Callable[[], Any] | None = None


@dataclass
class Disk:
    """Calls below `folder` in their order; `act` decides about the call number `at` and, once `broken`, all later ones.

    The number counts from 1. folder: absolute, without links. seen: (kind, path below the folder) of each call so far.
    """

    folder: str
    at: int = 0
    act: Act = let
    seen: list[tuple[str, str]] = field(default_factory=list)
    broken: bool = False

    def __call__(self, call: Call) -> Any:
        place = os.path.abspath(call.path)
        if not place.startswith(f"{self.folder}/"):
            return call.do()
        if not self.broken:
            self.seen.append((call.kind, place[len(self.folder) + 1 :]))
        if self.broken or len(self.seen) == self.at:
            return self.act(self, call)
        return call.do()

    @contextlib.contextmanager
    def mounted(self) -> Iterator[Disk]:
        """Python's calls go through this disk inside the block."""
        replaced = {name: getattr(self, f"_{kind}")(name) for kind, names in _KINDS.items() for name in names}
        try:
            for name, function in replaced.items():
                setattr(os, name, function)
            io.open = builtins.open = self._open  # type: ignore[assignment]
            yield self
        finally:
            for name in replaced:
                setattr(os, name, _REAL[name])
            io.open = builtins.open = _OPEN

    def _one(self, name: str) -> Callable[..., Any]:
        def call(path: Any, *rest: Any, dir_fd: int | None = None, **more: Any) -> Any:
            def do() -> Any:
                return _REAL[name](path, *rest, dir_fd=dir_fd, **more)

            return self(Call("unlink" if name == "remove" else name, _path(path, dir_fd), do))

        return call

    def _two(self, name: str) -> Callable[..., Any]:
        def call(source: Any, target: Any, *rest: Any, **more: Any) -> Any:
            return self(Call(name, _path(target), lambda: _REAL[name](source, target, *rest, **more)))

        return call

    def _handle(self, name: str) -> Callable[..., Any]:
        def call(handle: Any) -> Any:
            number = handle if isinstance(handle, int) else handle.fileno()
            return self(Call(name, os.readlink(f"/proc/self/fd/{number}"), lambda: _REAL[name](handle)))

        return call

    def _open(self, file: Any, mode: str = "r", buffering: int = -1, *text: Any, **more: Any) -> Any:
        if isinstance(file, int) or not set(mode) & set("wax+"):
            return _OPEN(file, mode, buffering, *text, **more)
        raw = _File(self, os.fspath(file), mode.replace("b", "").replace("t", ""))
        if buffering == 0:
            return raw
        buffered = (io.BufferedRandom if "+" in mode else io.BufferedWriter)(raw)
        names = ("encoding", "errors", "newline")
        return (
            buffered if "b" in mode else io.TextIOWrapper(buffered, **{**dict(zip(names, text, strict=False)), **more})
        )


_KINDS = {"one": ONE_PATH, "two": TWO_PATHS, "handle": ("fsync",)}


class _File(io.FileIO):
    """A file that asks the disk before it is made and before each write."""

    def __init__(self, disk: Disk, path: str, mode: str) -> None:
        self._disk = disk
        if not os.path.exists(path):
            disk(Call("create", path, lambda: None))
        elif "w" in mode:
            disk(Call("truncate", path, lambda: None))
        super().__init__(path, mode)

    def write(self, content: Any) -> int:
        whole = super().write
        return self._disk(
            Call("write", str(self.name), lambda: whole(content), lambda: whole(bytes(content)[: len(content) // 2]))
        )

    def truncate(self, size: int | None = None) -> int:
        whole = super().truncate
        return self._disk(Call("truncate", str(self.name), lambda: whole(size)))


def _path(path: Any, folder: int | None = None) -> str:
    text = os.fsdecode(path)
    return text if folder is None else os.path.join(os.readlink(f"/proc/self/fd/{folder}"), text)


def _half(call: Call) -> None:
    if call.half:
        call.half()


def crash(disk: Disk, call: Call) -> Any:
    """Before the call, and for good."""
    disk.broken = True
    raise Crash(call.kind)


def crash_half_way(disk: Disk, call: Call) -> Any:
    """As `crash`, but half of what was to be written is."""
    if not disk.broken:
        _half(call)
    return crash(disk, call)


def kill(disk: Disk, call: Call) -> Any:
    """The whole process, before the call."""
    os.kill(os.getpid(), signal.SIGKILL)


def kill_half_way(disk: Disk, call: Call) -> Any:
    _half(call)
    return kill(disk, call)


def full(disk: Disk, call: Call) -> Any:
    """From here on nothing grows; a write takes what still fits."""
    if call.kind not in GROWS:
        return call.do()
    if not disk.broken:
        disk.broken = True
        _half(call)
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), call.path)


def failing(disk: Disk, call: Call) -> Any:
    """From here on every call fails."""
    disk.broken = True
    raise OSError(errno.EIO, os.strerror(errno.EIO), call.path)


def full_once(disk: Disk, call: Call) -> Any:
    """This call alone: somebody else made room at once."""
    if call.kind not in GROWS:
        return call.do()
    _half(call)
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), call.path)


def failing_once(disk: Disk, call: Call) -> Any:
    raise OSError(errno.EIO, os.strerror(errno.EIO), call.path)


ACTS: dict[str, Act] = {
    act.__name__: act
    for act in (let, crash, crash_half_way, kill, kill_half_way, full, failing, full_once, failing_once)
}
