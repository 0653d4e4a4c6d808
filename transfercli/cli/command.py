"""Decorators that turn a function into a command: they add the shared options and print the result."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass
from functools import partial
from types import FunctionType, SimpleNamespace
from typing import Any, Concatenate, NoReturn, ParamSpec, Protocol, TextIO, TypeVar, cast, get_type_hints

from transfercli.cli.next_steps import NextStep, print_next
from transfercli.cli.options import Json, Quiet, Verbose
from transfercli.cli.runner import Output, run_command
from transfercli.reporting import Reporter
from transfercli.workflows.result import Result

P = ParamSpec("P")
R = TypeVar("R", bound=Result)
Work = Callable[Concatenate[Reporter, P], R]
Command = Callable[..., None]
SHARED = {"json": Json, "quiet": Quiet, "verbose": Verbose}


class Run(Protocol):
    """Function that runs a command with the values of its own parameters and of the shared options."""

    def __call__(self, own: Mapping[str, Any], *, json: bool, quiet: bool, verbose: bool) -> None: ...


def reports(
    show: Callable[[R], None], then: NextStep | None = None, *, prints_file: Callable[[R], bool] = lambda _: False
) -> Callable[[Work[P, R]], Command]:
    """Turn a function that takes a reporter and the command's own parameters, and returns a result, into a command.

    The command also has `--json`, `--quiet` and `--verbose`. It prints `show(result)`, or the result as one JSON
    object; after an error it raises `SystemExit` with the exit code. A function that declares one of the three options
    gets its value.

    then: returns the command that usually follows. It is shown below the result, but is not part of the JSON; if
    `prints_file(result)`, stdout is the content of a file, and it is shown on stderr.
    """

    def decorate(work: Work[P, R]) -> Command:
        def run(own: Mapping[str, Any], *, json: bool, quiet: bool, verbose: bool) -> None:
            def show_with_next(result: R) -> None:
                show(result)
                if not then:
                    return
                if not prints_file(result):
                    print_next(then(own, result))
                elif not quiet:
                    sys.stdout.flush()
                    print_next(then(own, result), sys.stderr)

            run_command(partial(work, **own), show_with_next, as_json=json, quiet=quiet, verbose=verbose)

        return _command(work, run)

    return decorate


def streams(write: Callable[[R, TextIO], None]) -> Callable[[Work[P, R]], Command]:
    """Turn a function into a command as `reports` does, but write its result line by line while it is computed.

    On a terminal the lines already show the progress, so there is no progress bar. With `--json` the result is printed
    at the end, as one object.
    """

    def decorate(work: Work[P, R]) -> Command:
        def run(own: Mapping[str, Any], *, json: bool, quiet: bool, verbose: bool) -> None:
            out = sys.stdout  # during the work `sys.stdout` is stderr, since libraries may print
            start = partial(work, **own)
            complete = partial(_collect, start) if json else partial(_write_lines, start, write, out)
            quiet = quiet or (out.isatty() and not json)
            run_command(complete, _print_nothing, as_json=json, quiet=quiet, verbose=verbose)

        return _command(work, run)

    return decorate


class Announce(Protocol):
    """Function that prints the result of a command that goes on until it is stopped."""

    def __call__(self, result: Result) -> None: ...


def serves(show: Callable[[R], None]) -> Callable[[Callable[..., NoReturn]], Command]:
    """Turn a function into a command as `reports` does, but print its result when the function announces it.

    The function serves until the command is asked to stop, then raises `Interrupted`. With `--json` stdout has exactly
    one object: the announced result, or the error that came before it; what ends the command later is on stderr.
    """

    def decorate(work: Callable[..., NoReturn]) -> Command:
        def run(own: Mapping[str, Any], *, json: bool, quiet: bool, verbose: bool) -> None:
            out = sys.stdout  # during the work `sys.stdout` is stderr, since libraries may print
            announced: list[Result] = []

            def announce(result: Result) -> None:
                announced.append(result)
                with suppress(BrokenPipeError), redirect_stdout(out):  # the reader is gone
                    Output(show, json).write(cast(R, result))
                    out.flush()

            def start(reporter: Reporter) -> NoReturn:
                work(reporter, announce, **own)

            run_command(
                start,
                _print_nothing,
                as_json=json,
                quiet=quiet,
                verbose=verbose,
                answered=lambda: bool(announced),
            )

        return _command(work, run, given=2)

    return decorate


@dataclass(frozen=True)
class Collected:
    """Complete JSON object of a result that is computed in parts."""

    content: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        return self.content


def _collect(start: Callable[[Reporter], Result], reporter: Reporter) -> Collected:
    return Collected(start(reporter).as_json())


def _write_lines(
    start: Callable[[Reporter], R], write: Callable[[R, TextIO], None], out: TextIO, reporter: Reporter
) -> Collected:
    result = start(reporter)
    with suppress(BrokenPipeError):  # the reader is gone
        write(result, out)
    return Collected({})


def _print_nothing(result: Result) -> None:
    """Print nothing, since the lines are already written."""


def _command(work: Callable[..., Any], run: Run, given: int = 1) -> Command:
    """Return a function with the name, help and parameters of `work`, and with the shared options.

    given: number of its first parameters, such as the reporter, that are no options. The annotation of the result is
    not evaluated, since its module is imported only when the command runs.
    """
    own = list(inspect.signature(work).parameters.values())[given:]
    source = cast(FunctionType, work)
    declared = SimpleNamespace(__annotations__={parameter.name: parameter.annotation for parameter in own})
    hints = get_type_hints(declared, source.__globals__, include_extras=True)
    kind = inspect.Parameter.KEYWORD_ONLY
    parameters = [parameter.replace(annotation=hints[parameter.name], kind=kind) for parameter in own]
    parameters += [
        inspect.Parameter(name, kind, default=False, annotation=hint)
        for name, hint in SHARED.items()
        if name not in hints
    ]

    def command(**values: Any) -> None:
        run({name: values[name] for name in hints}, **{name: values[name] for name in SHARED})

    command.__name__, command.__doc__, command.__module__ = source.__name__, source.__doc__, source.__module__
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return command
