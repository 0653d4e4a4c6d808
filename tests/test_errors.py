"""Kinds of failures, and the lack of memory or disk in any library's words."""

from __future__ import annotations

import errno
import signal

import pytest

from transfercli import errors
from transfercli.errors import EXIT_CODES, Interrupted, TransferError, child_ran_out_of_space, is_out_of_space

KINDS = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, TransferError)]


class ResourceExhaustedError(Exception):
    """The name that TensorFlow gives it."""


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_failure_has_an_exit_code(kind: type[TransferError]) -> None:
    assert kind.kind in EXIT_CODES or kind in (TransferError, Interrupted)


def test_a_failure_is_its_message_and_keeps_its_hint() -> None:
    error = TransferError("it broke", "mend it")
    assert (str(error), error.message, error.hint) == ("it broke", "it broke", "mend it")
    assert Interrupted(signal.SIGTERM).signum == signal.SIGTERM


@pytest.mark.parametrize(
    "error, expected",
    [
        (MemoryError(), True),
        (ResourceExhaustedError("OOM"), True),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory"), True),
        (OSError(errno.ENOSPC, "No space left on device"), True),
        (OSError("405 requested and 403 written"), True),
        (OSError(errno.EIO, "Input/output error"), False),
        (RuntimeError("a bug"), False),
        (ValueError("RESOURCE_EXHAUSTED"), False),
    ],
)
def test_the_lack_of_memory_or_disk_is_recognised(error: Exception, expected: bool) -> None:
    assert is_out_of_space(error) is expected


@pytest.mark.parametrize(
    "returncode, stderr, expected",
    [
        (-9, "", True),
        (1, "terminate called after throwing an instance of std::bad_alloc", True),
        (1, "IoError: No space left on device", True),
        (0, "MemoryError was handled", False),
        (1, "no such operation", False),
        (-11, "", False),
    ],
)
def test_a_child_that_died_for_want_of_memory_or_disk_is_recognised(
    returncode: int, stderr: str, expected: bool
) -> None:
    assert child_ran_out_of_space(returncode, stderr) is expected
