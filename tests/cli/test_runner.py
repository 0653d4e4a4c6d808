"""Exit codes and messages of failures."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest

from transfercli.cli.runner import error_object, message_of, run_command
from transfercli.errors import BusyError, DataError, Interrupted, TransferError, exit_code


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


def test_a_folder_that_was_removed_under_the_command_is_a_usage_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(SystemExit) as left:
        run_command(lambda _: Path("x").absolute(), print, as_json=False, quiet=True, verbose=False)
    assert left.value.code == 2
    assert "current folder was removed" in capsys.readouterr().err


def test_a_result_that_cannot_be_shown_is_a_bug_of_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def show(_result: object) -> None:
        raise KeyError("possible")

    with pytest.raises(SystemExit) as left:
        run_command(lambda _: {}, show, as_json=False, quiet=True, verbose=False)
    assert left.value.code == 1
    assert capsys.readouterr().err.splitlines() == ["bug: KeyError: 'possible' (--verbose shows the traceback)"]


def test_the_colours_of_a_library_reach_neither_json_nor_stderr() -> None:
    error = TransferError("\x1b[1mDense\x1b[0m broke", "mend it")
    assert message_of(error) == "error: Dense broke\n  hint: mend it"
    assert error_object(error)["error"]["message"] == "Dense broke"
    assert error_object(KeyError("\x1b[31mx"))["error"]["message"] == "KeyError: '\\x1b[31mx'"
