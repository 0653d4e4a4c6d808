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
        callback=one_of(lambda: registries.names(table), lambda text: registries.row_name(table, text)),
        autocompletion=completion.table_names(table),
    )


def one_of(names: Callable[[], Iterable[str]], find: Callable[[str], str | None] | None = None) -> Callable[[Any], Any]:
    """Return a callback for an option whose value must be one of `names`, or a list of them.

    The names are read when the value is checked, since the modules of some tables take long to import.

    find: returns the name that a text means, or None; without it the text must be the name itself.
    """

    def check(value: Any) -> Any:
        if value is None:
            return None
        return named(value) if isinstance(value, str) else [named(text) for text in value]

    def named(text: str) -> str:
        allowed = tuple(names())
        name = find(text) if find else text
        if name not in allowed:
            raise typer.BadParameter(_message(text, allowed))
        return name

    return check


def _message(text: str, allowed: tuple[str, ...]) -> str:
    """Return the same error message as Typer for a fixed choice, with the nearest name added."""
    message, nearest = f"{text!r} is not one of {', '.join(map(repr, allowed))}", did_you_mean(text, allowed)
    return f"{message}; {nearest}" if nearest else f"{message}."
