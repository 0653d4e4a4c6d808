"""Storage of a sweep's trials: a journal in the sweep's folder, or an address that several hosts share."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transfercli.errors import ArtefactError, BusyError, DiskError, TransferError, UsageError, is_out_of_space
from transfercli.io.file_lock import plain_lock
from transfercli.io.mounts import network_disk
from transfercli.reporting import Reporter

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

JOURNAL = "journal.log"
FORMS = "allowed: sqlite:///FILE, journal:FILE, or the address of a database, such as postgresql://USER@HOST/NAME"
INSTALL_HINT = "install it: pip install 'transfercli[sweep]'"
DRIVER_HINT = "install its driver, such as psycopg2 for postgresql and pymysql for mysql+pymysql, or use sqlite:///FILE"
_PASSWORD = re.compile(r"(://[^\s:/@]*):[^\s@]*@")
_PASSWORD_OPTION = re.compile(r"([?&]password=)[^&\s]*")


def require_optuna() -> None:
    """Raise `UsageError` if Optuna is not installed; silence its messages, which the sweep writes itself."""
    try:
        import optuna
    except ImportError as error:
        raise UsageError("sweep needs Optuna", INSTALL_HINT) from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)


def open_storage(address: str | None, folder: Path) -> BaseStorage:
    """Return the storage at an address, or the journal in the sweep's folder.

    Raises `UsageError` if there is no such storage, `ArtefactError` if it is damaged.
    """
    require_optuna()
    if address is None:
        return _journal(folder / JOURNAL)
    if address.startswith("journal:"):
        return _journal(Path(address.removeprefix("journal:").removeprefix("//")).expanduser())
    if "://" not in address:
        raise UsageError(f"--storage {address!r} is no address", FORMS)
    from optuna.storages import RDBStorage

    with storage_errors(address):
        return RDBStorage(address, engine_kwargs={"connect_args": {"timeout": 60}} if _is_sqlite(address) else None)


def warn_of_network_disk(address: str | None, reporter: Reporter) -> None:
    """Warn of a storage that is an SQLite file on a network disk."""
    if address is None or not _is_sqlite(address):
        return
    path = address.partition("///")[2].partition("?")[0]
    if path and (kind := network_disk(Path(path))):
        reporter.warning(
            f"--storage: {path!r} is on a network disk ({kind}), where processes of several hosts can damage an SQLite"
            " file: use journal:PATH, which is made for such disks, or a database server"
        )


@contextmanager
def storage_errors(address: str | None) -> Iterator[None]:
    """Turn errors of a storage into one message without its password."""
    try:
        yield
    except TransferError:
        raise
    except Exception as error:
        mended = _mended(error, address)
        if mended is None:
            raise
        raise mended from error


def without_password(text: str) -> str:
    """Return text with the password of each address in it hidden."""
    return _PASSWORD_OPTION.sub(r"\1…", _PASSWORD.sub(r"\1:…@", text))


def _mended(error: Exception, address: str | None) -> TransferError | None:
    name = "the sweep's journal" if address is None else f"--storage {without_password(address)}"
    reason = _reason(error, address)
    modules = {cls.__module__.partition(".")[0] for cls in type(error).__mro__}
    if isinstance(error, OSError) and is_out_of_space(error):
        return DiskError(f"{name}: the disk is full", "free disk space, then start the same command again")
    if isinstance(error, ImportError) or type(error).__name__ == "NoSuchModuleError":
        return UsageError(f"{name} needs a program that is not installed: {reason}", f"{DRIVER_HINT}; {FORMS}")
    if isinstance(error, _damages()) or "not a database" in reason:
        return ArtefactError(f"{name} is damaged: {reason}", "restore it, or name another with --storage")
    if "compatible" in reason and isinstance(error, RuntimeError):
        return ArtefactError(f"{name} is of another version of Optuna: {reason}", "name another with --storage")
    if "locked" in reason:
        return BusyError(f"{name} is locked by another process", "start the same command again")
    if isinstance(error, OSError) or modules & {"optuna", "sqlalchemy"}:
        return UsageError(f"{name} cannot be used: {reason}", FORMS if address else "check the folder's permissions")
    return None


def _damages() -> tuple[type[Exception], ...]:
    import json

    return (json.JSONDecodeError, UnicodeDecodeError)


def _reason(error: Exception, address: str | None) -> str:
    """Return the first line of an error, of its cause if it has one, without the password."""
    cause: BaseException = error
    while (inner := getattr(cause, "orig", None) or cause.__cause__) is not None and inner is not cause:
        cause = inner
    text = without_password((str(cause).strip().splitlines() or [type(cause).__name__])[0])
    found = re.match(r"[^:]+://[^\s:/@]*:([^\s@]+)@", address or "")
    return text.replace(found[1], "…") if found else text


def _is_sqlite(address: str) -> bool:
    return address.partition(":")[0].partition("+")[0] == "sqlite"


def _journal(path: Path) -> BaseStorage:
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    with storage_errors(f"journal:{path}"):
        lock: Any = JournalLock(path)  # Optuna exports no base class for locks
        lock.acquire()  # mends a line that a killed process left half written
        lock.release()
        return JournalStorage(JournalFileBackend(str(path), lock_obj=lock))


class JournalLock:
    """Kernel lock of a journal, which ends with the process that holds it.

    Optuna's own locks are files, for which others wait 30 seconds after their holder was killed. Whoever takes the lock
    also removes a last line without an end: the next line would be written behind it, and neither could be read.
    """

    def __init__(self, journal: Path) -> None:
        self.journal = journal
        self._held = ExitStack()

    def acquire(self) -> bool:
        with ExitStack() as stack:
            stack.enter_context(plain_lock(self.journal.with_name(f"{self.journal.name}.lock")))
            self._drop_torn_line()
            self._held = stack.pop_all()
        return True

    def release(self) -> None:
        self._held.close()

    def _drop_torn_line(self) -> None:
        if not self.journal.exists():
            return
        with self.journal.open("rb+") as file:
            end = file.seek(0, os.SEEK_END)
            if end == 0:
                return
            file.seek(end - 1)
            if file.read(1) == b"\n":
                return
            file.seek(0)
            content = file.read()
            file.truncate(content.rfind(b"\n") + 1)
