"""Output paths from the command line: checks before the work that a file or folder can be written after it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from transfercli.errors import UsageError
from transfercli.io.atomic import write_errors

# File systems of the kernel, in which no program can make files although access() allows it to root.
_KERNEL_FOLDERS = tuple(map(Path, ("/proc", "/sys")))


def check_output_file(path: Path, option: str) -> None:
    """Raise `UsageError` if a file cannot be written to `path`, or if a file would replace something else there.

    Folders, devices, pipes and links are refused: a new file would replace them, and root can replace /dev/null. So are
    all files in the folder of a run, which may be its weights.
    """
    with write_errors(path):
        if path.is_dir():
            raise UsageError(f"{option} names a file; received the folder {str(path)!r}", "name a file inside it")
        if os.path.lexists(path) and not stat.S_ISREG(path.lstat().st_mode):
            raise UsageError(
                f"{option} names a file; received {str(path)!r}, a device, a pipe or a link, which it would replace",
                "name a new file, or one that may be replaced",
            )
        _check_writable_folder(path.parent, option, str(path))
    folder = Path(os.path.realpath(path.parent))
    run = next((each for each in (folder, *folder.parents) if (each / "run.json").is_file()), None)
    if run is not None:
        raise UsageError(
            f"{option} {str(path)!r} is in the folder of the run {run.parent.name}/{run.name}, whose files it may"
            " replace",
            "name a file in another folder",
        )


def check_output_folder(folder: Path, option: str) -> None:
    """Raise `UsageError` if `folder` cannot be created or written to; its parents may be missing, too."""
    with write_errors(folder):
        existing = next(path for path in (folder, *folder.absolute().parents) if os.path.lexists(path))
        _check_writable_folder(existing, option, str(folder))


def _check_writable_folder(folder: Path, option: str, argument: str) -> None:
    if not folder.is_dir():
        problem = "is not a folder" if folder.exists() else "does not exist"
        raise UsageError(f"{option} {argument!r}: {str(folder)!r} {problem}", "create it, or name another path")
    real = Path(os.path.realpath(folder))
    in_kernel = any(real.is_relative_to(kernel) for kernel in _KERNEL_FOLDERS)
    if in_kernel or not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(
            f"{option} {argument!r}: {str(folder)!r} is not writable",
            "name another path, or change its permissions",
        )
