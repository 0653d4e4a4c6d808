"""What can go wrong, one class a kind; `cli/runner.py` turns a kind into an exit code.

A message says what was wrong, what was received and what is allowed; the hint says how to mend it.
"""

from __future__ import annotations

import errno
import os
import signal


class TransferError(Exception):
    """An expected failure, told to the user in one message and never as a traceback."""

    kind = "error"

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(TransferError):
    kind = "usage"


class ConfigError(TransferError):
    kind = "config"


class DataError(TransferError):
    kind = "data"


class GateError(TransferError):
    """A gate was not met or an export lost too much; the command still prints its normal result."""

    kind = "gate"


class ArtefactError(TransferError):
    """A run, checkpoint or artefact is missing, damaged or of another shape."""

    kind = "artefact"


class WeightsError(TransferError):
    """Pretrained weights cannot be had."""

    kind = "weights"


class RoomError(TransferError):
    """Disk or memory is full."""

    kind = "room"


class DiskError(RoomError):
    """The disk is full or failing: the same command can go on once it is not."""


NO_ROOM = (errno.ENOMEM, errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
FAILED_WRITE = frozenset({*NO_ROOM, errno.EIO})


def no_room(error: BaseException) -> bool:
    """Whether memory or disk ran out, whatever library says so and in whatever words.

    Python has `MemoryError` (NumPy's is one), TensorFlow `ResourceExhaustedError`, XLA a `RuntimeError` that says
    RESOURCE_EXHAUSTED, and the system the errors ENOMEM, ENOSPC, EDQUOT and EFBIG (a limit on a file's size).
    """
    if isinstance(error, OSError):
        return error.errno in NO_ROOM
    return (
        isinstance(error, MemoryError)
        or "ResourceExhausted" in type(error).__name__
        or (isinstance(error, RuntimeError) and "RESOURCE_EXHAUSTED" in str(error))
    )


LAST_WORDS = ("MemoryError", "bad_alloc", "ResourceExhausted", "RESOURCE_EXHAUSTED", *map(os.strerror, NO_ROOM))


def died_of_no_room(returncode: int, stderr: str) -> bool:
    """Whether a child process ended for want of memory or disk: killed, as the kernel does it, or by its last words."""
    return returncode == -signal.SIGKILL or (returncode != 0 and any(word in stderr for word in LAST_WORDS))


class BusyError(TransferError):
    """Another process holds the experiment's lock."""

    kind = "busy"


class Interrupted(TransferError):
    """SIGINT or SIGTERM was received; raised where stopping loses nothing."""

    kind = "interrupted"

    def __init__(self, signum: int, message: str = "stopped on request", hint: str | None = None) -> None:
        super().__init__(message, hint)
        self.signum = signum
