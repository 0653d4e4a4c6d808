"""The run of a command: its work, its output, and its exit code."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Generic, NoReturn, TypeVar

import transfercli
from transfercli.cli.signals import StopRequest
from transfercli.cli.ui.console import Console, console_for
from transfercli.errors import WRITE_ERRNOS, Interrupted, OutOfSpaceError, TransferError, is_out_of_space
from transfercli.io.atomic import append_line
from transfercli.redaction import hide_paths
from transfercli.workflows.result import Result, document, versioned

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
}

R = TypeVar("R", bound=Result)


@dataclass(frozen=True)
class Output(Generic[R]):
    """The form in which a result is printed on stdout.

    show: prints it for a person. as_json: print one JSON object instead.
    """

    show: Callable[[R], None]
    as_json: bool

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
) -> None:
    """Do a command's work, print its result on stdout and exit with its code.

    work: gets the reporter; may raise. show: prints the result for a person. An error that carries a `result`, such as
    a `GateError`, is printed like a success, and then exits with its code.
    """
    stop = StopRequest(partial(_farewell, as_json=as_json))
    console = console_for(stop, quiet, verbose)
    output = Output(show, as_json)
    try:
        with stop.listening(), redirect_stdout(sys.stderr):  # libraries may print; stdout is the result's alone
            try:
                result = work(console)
            finally:
                console.close()  # before stdout is put back: a live display puts back the one that it found
    except Exception as error:
        _leave(_expected(error), console, output, stop)
    _print(partial(output.write, result))


def json_line(content: Mapping[str, Any]) -> str:
    """Return a JSON object as one line. Raises `ValueError` if it holds a number that is not finite."""
    return json.dumps(content, allow_nan=False)


def _farewell(stop: Interrupted, *, as_json: bool) -> None:
    """Print the message of a forced stop; unbuffered, since the process ends right after it, in another thread."""
    os.write(2, f"{message_of(stop)}\n".encode("utf-8", "backslashreplace"))
    if as_json:
        os.write(1, f"{json_line(versioned(error_object(stop)))}\n".encode())


def _expected(error: Exception) -> Exception:
    """Return the error, or an `OutOfSpaceError` if memory or disk ran out, which may happen anywhere."""
    failing = isinstance(error, OSError) and error.errno in WRITE_ERRNOS
    if isinstance(error, TransferError) or not (failing or is_out_of_space(error)):
        return error
    line = (str(error).splitlines() or [type(error).__name__])[0]
    return OutOfSpaceError(
        f"out of memory or disk: {line[:200]}; what was written before is whole",
        "free some, or lower data.batch_size or data.image_size; an interrupted training goes on with --resume",
    )


def _print(write: Callable[[], None]) -> None:
    try:
        write()
        sys.stdout.flush()
    except BrokenPipeError:  # the reader needs no more
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    except OSError as error:
        print(f"error: the result cannot be written: {error.strerror}", file=sys.stderr)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(EXIT_CODES["room"])


def _leave(error: Exception, console: Console, output: Output[Any], stop: StopRequest) -> NoReturn:
    if stop.signum and not isinstance(error, Interrupted):
        error = Interrupted(stop.signum)  # a child process or library got the signal too
    code = exit_code(error)
    result = getattr(error, "result", None)
    if code == 1:
        console.error(_bug(error, console))
    else:
        console.error(message_of(error))
    if result is not None:
        _print(partial(output.write, result))
    elif output.as_json:
        _print(lambda: print(json_line(versioned(error_object(error)))))
    sys.exit(code)


def exit_code(error: Exception) -> int:
    if isinstance(error, Interrupted):
        return 128 + error.signum
    if isinstance(error, TransferError):
        return EXIT_CODES.get(error.kind, 1)
    return EXIT_CODES["room"] if is_out_of_space(error) else EXIT_CODES["bug"]


def message_of(error: Exception) -> str:
    """Return one message: the error and its fix."""
    if not isinstance(error, TransferError):
        return f"error: {error or type(error).__name__}"
    word = "stopped" if isinstance(error, Interrupted) else "error"
    text = f"{word}: {error.message}" if not error.message.startswith(word) else error.message
    return f"{text}\n  {'resume' if word == 'stopped' else 'hint'}: {error.hint}" if error.hint else text


def error_object(error: Exception) -> dict[str, Any]:
    kind = error.kind if isinstance(error, TransferError) else "bug"
    message = error.message if isinstance(error, TransferError) else f"{type(error).__name__}: {error}"
    hint = error.hint if isinstance(error, TransferError) else None
    return {"error": {"code": exit_code(error), "kind": kind, "message": message, "hint": hint}}


def _bug(error: Exception, console: Console) -> str:
    """Return one line for stderr; write the traceback to the run's log, with its paths cut at the package."""
    lines = traceback.format_exception(error)
    text = hide_paths(_without_paths("".join(lines)))
    if console.log is not None:
        with suppress(TransferError, OSError):
            append_line(console.log, text.rstrip("\n"))
        return f"bug: {_first_line(error)} (the traceback is in the run's {console.log.name})"
    if console.verbose:
        print(text, file=sys.stderr)
    return f"bug: {_first_line(error)} (--verbose shows the traceback)"


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]


def _without_paths(text: str) -> str:
    """Return the text with file names from the package's or site-packages' folder on: a log is shared."""
    package = Path(transfercli.__file__).parent.parent
    for folder in sorted({str(package), *sys.path} - {""}, key=len, reverse=True):
        text = text.replace(folder.rstrip("/") + "/", "")
    return text
