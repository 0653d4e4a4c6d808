"""Exit codes and messages of failures."""

from __future__ import annotations

import errno
import json

import pytest

from transfercli.cli.runner import error_object, exit_code, message_of, run_command
from transfercli.errors import BusyError, DataError, Interrupted, TransferError


class ResourceExhaustedError(Exception):
    """By the name that TensorFlow gives it."""


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        ResourceExhaustedError("OOM when allocating tensor with shape[9]\nmore"),
        RuntimeError("RESOURCE_EXHAUSTED: Out of memory"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EFBIG, "File too large"),
    ],
)
def test_no_room_is_exit_8_wherever_it_happens(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    def work(_console: object) -> dict:
        raise error

    with pytest.raises(SystemExit) as left:
        run_command(work, lambda _: None, as_json=True, quiet=True, verbose=False)
    assert left.value.code == 8
    captured = capsys.readouterr()
    told = json.loads(captured.out)["error"]
    assert (told["code"], told["kind"]) == (8, "room")
    assert "files written before are complete" in told["message"]
    assert "bug" not in captured.err


@pytest.mark.parametrize(
    "error, code",
    [(DataError("x"), 4), (BusyError("x"), 75), (Interrupted(15), 143), (Interrupted(2), 130), (KeyError("x"), 1)],
)
def test_every_failure_has_its_code(error: Exception, code: int) -> None:
    assert exit_code(error) == code
    assert error_object(error)["error"]["code"] == code


def test_a_message_ends_with_the_way_out() -> None:
    assert message_of(TransferError("it broke", "mend it")) == "error: it broke\n  hint: mend it"
    assert message_of(Interrupted(15, "stopped; kept", "go on")) == "stopped; kept\n  resume: go on"
