"""Places that a command line names to be written: refused before the work where they could not be written after it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from transfercli.errors import UsageError
from transfercli.io.atomic import write_errors


def check_file(path: Path, option: str) -> None:
    """Raise UsageError where no file can be put at `path`: a folder stands there, or none that would hold it.

    So it does where a device, a pipe or a link stands: a file put in its place would be the end of it, and root may end
    /dev/null.
    """
    with write_errors(path):
        if path.is_dir():
            raise UsageError(f"{option} names a file; received the folder {str(path)!r}", "name a file inside it")
        if os.path.lexists(path) and not stat.S_ISREG(path.lstat().st_mode):
            raise UsageError(
                f"{option} names a file; received {str(path)!r}, a device, a pipe or a link, which it would replace",
                "name a new file, or one that may be replaced",
            )
        _check_holds(path.parent, option, str(path))


def check_folder(folder: Path, option: str) -> None:
    """Raise UsageError where no folder can be made, or written into, at `folder`; those above may be missing, too."""
    with write_errors(folder):
        there = next(place for place in (folder, *folder.absolute().parents) if os.path.lexists(place))
        _check_holds(there, option, str(folder))


def _check_holds(folder: Path, option: str, given: str) -> None:
    if not folder.is_dir():
        what = "is no folder" if folder.exists() else "does not exist"
        raise UsageError(f"{option} {given!r}: {str(folder)!r} {what}", "make it, or name another place")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(
            f"{option} {given!r}: {str(folder)!r} is not writable",
            "name another place, or change its permissions",
        )
