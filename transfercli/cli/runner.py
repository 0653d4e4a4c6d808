"""Execution of a command: work, output, errors and exit code."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Generic, NoReturn, TypeVar

from transfercli.cli.environment import take_notices
from transfercli.cli.signals import StopRequest
from transfercli.cli.streams import write_now
from transfercli.cli.ui.console import Console, console_for
from transfercli.cli.ui.library_warnings import counted_warnings
from transfercli.errors import (
    WRITE_ERRNOS,
    BusyError,
    Interrupted,
    OutOfSpaceError,
    PeerLostError,
    TransferError,
    UsageError,
    exit_code,
    is_out_of_space,
)
from transfercli.io.atomic import append_line
from transfercli.io.versioned import versioned
from transfercli.redaction import hide_package_folders, hide_paths
from transfercli.text import without_colours
from transfercli.workflows.result import Result, document

R = TypeVar("R", bound=Result)


@dataclass(frozen=True)
class Output(Generic[R]):
    """Format of a result on stdout.

    show: prints it for a person; as_json: True to print one JSON object instead. answered: returns True once the work
    has printed the object itself; an error that ends it later has no object of its own.
    """

    show: Callable[[R], None]
    as_json: bool
    answered: Callable[[], bool] = lambda: False

    def write(self, result: R) -> None:
        if self.as_json:
            print(json_line(document(result)))
        else:
            self.show(result)


def run_command(
    work: Callable[[Console], R],
    show: Callable[[R], None],
    *,
    as_json: bool,
    quiet: bool,
    verbose: bool,
    answered: Callable[[], bool] = lambda: False,
) -> None:
    """Do a command's work and print its result on stdout; on an error print it and raise `SystemExit` with its code.

    If an error has a `result`, such as a `GateError`, that is printed, too, like the result of a success.

    work: takes the reporter and returns the result, or raises; show: prints the result for a person; answered: as in
    `Output`.
    """
    stop = StopRequest(lambda error: _print_forced_stop(error, as_json=as_json and not answered()))
    console = console_for(stop, quiet, verbose)
    output = Output(show, as_json, answered)
    try:
        # Libraries may print and warn; stdout is for the result.
        with stop.handling_signals(), counted_warnings(console, verbose=verbose), redirect_stdout(sys.stderr):
            try:
                for notice in take_notices():
                    console.warning(notice)
                result = work(console)
            finally:
                console.close()  # before stdout is restored, since a live display restores the stdout of its start
    except Exception as error:
        _exit_with(_as_expected(error, console), console, output, stop)
    if console.silent:
        return
    try:
        _print(partial(output.write, result))
    except Exception as error:  # a bug in the table for people
        _exit_with(_as_expected(error, console), console, output, stop)


def json_line(content: Mapping[str, Any]) -> str:
    """Return a JSON object as one line. Raises `ValueError` if it holds a number that is not finite."""
    return json.dumps(content, allow_nan=False)


def _print_forced_stop(error: TransferError, *, as_json: bool) -> None:
    """Print the message of a forced stop, unbuffered, since another thread ends the process right after it."""
    write_now(2, f"{message_of(error)}\n")
    if as_json:
        write_now(1, f"{json_line(versioned(error_object(error)))}\n")


def _as_expected(error: Exception, console: Console) -> Exception:
    """Return a `TransferError` for an error of the machine that the program met anywhere, else the error itself."""
    if isinstance(error, FileNotFoundError) and not _has_working_folder():
        return UsageError("the current folder was removed or renamed meanwhile", "change to another folder, as with cd")
    return _as_out_of_space(error, console)


def _has_working_folder() -> bool:
    try:
        Path.cwd()
    except FileNotFoundError:
        return False
    return True


def _as_out_of_space(error: Exception, console: Console) -> Exception:
    """Return an `OutOfSpaceError` for an error that means that memory or disk space ran out, else the error itself."""
    write_failed = isinstance(error, OSError) and error.errno in WRITE_ERRNOS
    if isinstance(error, TransferError) or not (write_failed or is_out_of_space(error)):
        return error
    line = (str(error).splitlines() or [type(error).__name__])[0]
    return OutOfSpaceError(
        f"out of memory or disk space: {line[:200]}; files written before are complete",
        "free some, or lower data.batch_size or data.image_size; an interrupted training can be resumed with --resume"
        if console.log is not None  # only a training has one
        else "free some, then start the same command again",
    )


def _print(write: Callable[[], None]) -> None:
    try:
        write()
        sys.stdout.flush()
    except BrokenPipeError:  # the reader is gone
        return
    except TransferError as error:
        print(message_of(error), file=sys.stderr)
        sys.exit(exit_code(error))


def _exit_with(error: Exception, console: Console, output: Output[Any], stop: StopRequest) -> NoReturn:
    if stop.signum and not isinstance(error, Interrupted):
        error = stop.describe(stop.signum)  # a child process or a library failed because it received the signal, too
    code = exit_code(error)
    result = getattr(error, "result", None)
    if code == 1:
        console.error(_report_bug(error, console))
    else:
        console.error(message_of(error))
    if console.silent:
        sys.exit(code)
    if result is not None:
        _print(partial(output.write, result))
    elif output.as_json and not output.answered():
        _print(lambda: print(json_line(versioned(error_object(error)))))
    sys.exit(code)


def message_of(error: Exception) -> str:
    """Return the message of an error, with its hint on a second line."""
    if not isinstance(error, TransferError):
        return without_colours(f"error: {error or type(error).__name__}")
    # A busy experiment is no failure: schedules end such a night with exit code 0.
    stopped = isinstance(error, (Interrupted, PeerLostError))
    word = "stopped" if stopped else "busy" if isinstance(error, BusyError) else "error"
    text = f"{word}: {error.message}" if not error.message.startswith(word) else error.message
    text += f"\n  {'resume' if word == 'stopped' else 'hint'}: {error.hint}" if error.hint else ""
    return without_colours(text)


def error_object(error: Exception) -> dict[str, Any]:
    """Return the JSON object of an error."""
    kind = error.kind if isinstance(error, TransferError) else "bug"
    message = error.message if isinstance(error, TransferError) else f"{type(error).__name__}: {error}"
    hint = error.hint if isinstance(error, TransferError) else None
    return {"error": {"code": exit_code(error), "kind": kind, "message": without_colours(message), "hint": hint}}


def _report_bug(error: Exception, console: Console) -> str:
    """Return one line for stderr, and write the traceback to the run's log, with paths relative to the package."""
    lines = traceback.format_exception(error)
    text = hide_paths(hide_package_folders(without_colours("".join(lines))))
    if console.log is not None:
        with suppress(TransferError, OSError):
            append_line(console.log, text.rstrip("\n"))
        return f"bug: {_first_line(error)} (the traceback is in the run's {console.log.name})"
    if console.verbose:
        print(text, file=sys.stderr)
    return f"bug: {_first_line(error)} (--verbose shows the traceback)"


def _first_line(error: Exception) -> str:
    return without_colours(f"{type(error).__name__}: {error}").splitlines()[0]
