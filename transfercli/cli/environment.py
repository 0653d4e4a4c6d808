"""Environment of the process and of its children: settings of libraries, made before they are imported."""

from __future__ import annotations

import logging
import os
import stat
import sys
import tempfile
import warnings
from pathlib import Path

import platformdirs

SETTINGS = {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow", "PYDANTIC_DISABLE_PLUGINS": "1"}
# Set whatever the user's values are: no command reports its use to anyone.
NO_TELEMETRY = {"HF_HUB_DISABLE_TELEMETRY": "1", "ORT_DISABLE_TELEMETRY": "1"}

_notices: list[str] = []


def use_utf8() -> None:
    """Start the program again in Python's UTF-8 mode if file names are read as ASCII: every image folder is UTF-8.

    Python uses that mode by itself in the locales C and POSIX, unless PYTHONUTF8=0 turns it off.
    """
    if sys.getfilesystemencoding() == "ascii" and os.environ.get("PYTHONUTF8") != "1":
        os.environ["PYTHONUTF8"] = "1"
        os.execv(sys.executable, sys.orig_argv)


def prepare_environment() -> None:
    """Set the variables of libraries, and a cache folder if the home folder is missing or cannot hold one."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    os.environ.update(NO_TELEMETRY)
    _turn_warnings_into_text()
    _set_cache_folder()
    os.environ.setdefault("MPLCONFIGDIR", str(_user_cache() / "matplotlib"))
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it warns if that folder is new or cannot be written


def take_notices() -> list[str]:
    """Return the warnings about the environment, once."""
    notices = _notices.copy()
    _notices.clear()
    return notices


def _turn_warnings_into_text() -> None:
    """Undo `PYTHONWARNINGS=error`, here and in child processes: a warning of a library must not end a training."""
    if sys.warnoptions and any(action == "error" for action, *_ in warnings.filters):
        warnings.resetwarnings()
        warnings.simplefilter("default")
        if "PYTHONWARNINGS" in os.environ:
            os.environ["PYTHONWARNINGS"] = "default"


def _set_cache_folder() -> None:
    """Set HOME or XDG_CACHE_HOME to a private temporary folder if the user's cache folder cannot be used."""
    if not os.environ.get("HOME", "-"):
        del os.environ["HOME"]  # empty; without it, the entry in the password file counts
    home = _home()
    if home is None:
        reason, variable = "there is no home folder", "HOME"
    elif not os.environ.get("XDG_CACHE_HOME") and not can_be_written(_user_cache()):
        reason, variable = f"the home folder {home} cannot be written to", "XDG_CACHE_HOME"
    else:
        return
    folder = os.environ[variable] = str(_private_temporary_folder())
    if not os.environ.get("TRANSFERCLI_CACHE"):
        _notices.append(f"{reason}: caches are kept in {folder}; TRANSFERCLI_CACHE or HOME sets another folder")


def _home() -> Path | None:
    """Return the user's home folder; None without HOME and an entry in the password file, or if it is not absolute."""
    try:
        home = Path.home()
    except RuntimeError:
        return None
    return home if home.is_absolute() else None


def _user_cache() -> Path:
    return Path(platformdirs.user_cache_dir("transfercli"))


def can_be_written(folder: Path) -> bool:
    """Return True if a folder, or the nearest of its parents that exists, can be written to."""
    existing = next(path for path in (folder, *folder.parents) if _exists(path))
    return os.access(existing, os.W_OK | os.X_OK)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # its parent is closed to this user, such as /root
        return False


def _private_temporary_folder() -> Path:
    """Return a folder that only this user can use, the same for every command if possible."""
    try:
        folder = Path(tempfile.gettempdir(), f"transfercli-{os.getuid()}")
        folder.mkdir(mode=0o700, exist_ok=True)
        info = folder.lstat()
        if stat.S_ISDIR(info.st_mode) and info.st_uid == os.getuid() and not info.st_mode & 0o077:
            return folder
        return Path(tempfile.mkdtemp(prefix="transfercli-"))  # another user made a folder of that name
    except OSError:
        return Path(os.devnull, "home")  # nothing can be kept; the caches report it
