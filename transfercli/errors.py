"""Expected failures, one class a kind, and the exit code of each.

    TransferError                     exit  raised when
    ├── UsageError                       2  an option, an argument or an output path cannot be used
    ├── ConfigError                      3  the config is invalid
    ├── DataError                        4  the data is invalid or unusable
    ├── GateError                        5  a gate failed, an export lost too much, or a challenger was rejected
    ├── ArtefactError                    6  a run, checkpoint or artefact is missing, damaged or of another shape
    ├── WeightsError                     7  pretrained weights cannot be found or loaded
    ├── OutOfSpaceError                  8  memory or disk is full
    │   └── DiskError                    8  the disk is full or failing
    ├── BusyError                       75  another process holds the experiment's lock
    │   └── SplitsChangedError          75  another process assigned the same images to other splits meanwhile
    ├── PeerLostError                   75  another process of the same training died, failed or did not come
    ├── ClusterError                    75  a cluster does not answer, or lost its nodes
    └── Interrupted               130, 143  SIGINT or SIGTERM was received

A message states what was wrong, the value received and the values allowed; the hint states the fix.
"""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Mapping
from typing import Any


class TransferError(Exception):
    """Base of all expected failures; shown to the user as one message, without a traceback.

    Attributes:
        kind: `error.kind` of the JSON result.
        message: what was wrong, the value received and the values allowed.
        hint: the fix, or None.
    """

    kind = "error"

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(TransferError):
    """Raised if an option, an argument or an output path of the command line cannot be used."""

    kind = "usage"


class ConfigError(TransferError):
    """Raised if the config is invalid, also if only the data or the model shows it."""

    kind = "config"


class DataError(TransferError):
    """Raised if the data is invalid or unusable."""

    kind = "data"


class GateError(TransferError):
    """Raised if a gate fails, an export loses too much or a challenger is rejected.

    The command still prints its normal result.
    """

    kind = "gate"


class ArtefactError(TransferError):
    """Raised if a run, checkpoint or artefact is missing, damaged or of another shape."""

    kind = "artefact"


class WeightsError(TransferError):
    """Raised if pretrained weights cannot be found or loaded."""

    kind = "weights"


class OutOfSpaceError(TransferError):
    """Raised if memory or disk is full."""

    kind = "room"


class DiskError(OutOfSpaceError):
    """Raised if the disk is full or failing; the same command can continue once that is fixed."""


class BusyError(TransferError):
    """Raised if another process holds the experiment's lock."""

    kind = "busy"


class SplitsChangedError(BusyError):
    """Raised if another process assigned the same images to other splits while they were read; try again."""


class PeerLostError(TransferError):
    """Raised if another process of the same training died, failed or did not come; the same command can go on."""

    kind = "peer"


class ClusterError(TransferError):
    """Raised if a cluster does not answer or lost its nodes; the same command can succeed later."""

    kind = "cluster"


class Interrupted(TransferError):
    """Raised after SIGINT or SIGTERM, at a point where stopping loses no work."""

    kind = "interrupted"

    def __init__(self, signum: int, message: str = "stopped on request", hint: str | None = None) -> None:
        super().__init__(message, hint)
        self.signum = signum


EXIT_CODES = {
    "bug": 1,
    "usage": 2,
    "config": 3,
    "data": 4,
    "gate": 5,
    "artefact": 6,
    "weights": 7,
    "room": 8,
    "busy": 75,
    "peer": 75,
    "cluster": 75,
}


def exit_code(error: BaseException) -> int:
    """Return the exit code for an error: 128 + number for a signal, else that of its kind; 1 for a bug."""
    if isinstance(error, Interrupted):
        return 128 + error.signum
    if isinstance(error, TransferError):
        return EXIT_CODES.get(error.kind, 1)
    return EXIT_CODES["room"] if is_out_of_space(error) else EXIT_CODES["bug"]


def as_facts(error: TransferError) -> dict[str, Any]:
    """Return an error as values that JSON can hold, from which `from_facts` makes it again in another process.

    An error of a class that is defined elsewhere becomes one of its nearest base here.
    """
    name = next(one.__name__ for one in type(error).__mro__ if one.__module__ == __name__)
    return {"class": name, "message": error.message, "hint": error.hint, "signum": getattr(error, "signum", None)}


def from_facts(facts: Mapping[str, Any]) -> TransferError:
    """Return the error that `as_facts` described."""
    if facts["class"] == Interrupted.__name__:
        return Interrupted(facts["signum"], facts["message"], facts["hint"])
    error: TransferError = globals()[facts["class"]](facts["message"], facts["hint"])
    return error


SPACE_ERRNOS = (errno.ENOMEM, errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
WRITE_ERRNOS = frozenset({*SPACE_ERRNOS, errno.EIO})

# Texts in the stderr of a process that ended because memory or disk ran out.
OUT_OF_SPACE_TEXTS = (
    "MemoryError",
    "bad_alloc",
    "ResourceExhausted",
    "RESOURCE_EXHAUSTED",
    *map(os.strerror, SPACE_ERRNOS),
)


def is_out_of_space(error: BaseException) -> bool:
    """Return True if an error of any library means that memory or disk ran out.

    Python and NumPy raise `MemoryError`, TensorFlow `ResourceExhaustedError`, XLA a `RuntimeError` with the text
    RESOURCE_EXHAUSTED, and the operating system ENOMEM, ENOSPC, EDQUOT or EFBIG (a limit on the size of a file). NumPy
    reports a short write in words: "405 requested and 403 written".
    """
    if isinstance(error, OSError):
        return error.errno in SPACE_ERRNOS or (error.errno is None and " requested and " in str(error))
    return (
        isinstance(error, MemoryError)
        or "ResourceExhausted" in type(error).__name__
        or (isinstance(error, RuntimeError) and "RESOURCE_EXHAUSTED" in str(error))
    )


def child_ran_out_of_space(returncode: int, stderr: str) -> bool:
    """Return True if a child process ended because memory or disk ran out.

    The kernel kills such a process with SIGKILL; otherwise its stderr holds the library's error.
    """
    killed = returncode == -signal.SIGKILL
    return killed or (returncode != 0 and any(text in stderr for text in OUT_OF_SPACE_TEXTS))
