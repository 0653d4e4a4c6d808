"""Choices of options and arguments: fixed ones, and names of the rows of a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal

import typer

from transfercli.cli import completion
from transfercli.config import registries
from transfercli.text import did_you_mean

# Fixed choices are types, which Typer checks and lists in --help.
Split = Literal["validation", "test"]
Workflow = Literal["finetune", "pretrain"]
GateOn = Literal["point", "lower"]
Quantize = Literal["none", "float16", "int8"]
Lines = Literal["jsonl", "csv"]


def table_option(flag: str, table: str, *, help: str, metavar: str | None = None) -> Any:
    """Return an option whose value is the name of a row of a table in `config.registries`, for `Annotated`."""
    return typer.Option(
        flag,
        metavar=metavar,
        help=help,
        callback=one_of(lambda: registries.names(table)),
        autocompletion=completion.table_names(table),
    )


def one_of(names: Callable[[], Iterable[str]]) -> Callable[[Any], Any]:
    """Return a callback for an option whose value must be one of `names`, or a list of them.

    The names are read when the value is checked, since the modules of some tables take long to import.
    """

    def check(value: Any) -> Any:
        for text in (value,) if isinstance(value, str) else value or ():
            if text not in (allowed := tuple(names())):
                raise typer.BadParameter(_message(text, allowed))
        return value

    return check


def _message(text: str, allowed: tuple[str, ...]) -> str:
    """Return the same error message as Typer for a fixed choice, with the nearest name added."""
    message, nearest = f"{text!r} is not one of {', '.join(map(repr, allowed))}", did_you_mean(text, allowed)
    return f"{message}; {nearest}" if nearest else f"{message}."
