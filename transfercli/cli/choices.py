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
SortedAs = Literal["link", "hardlink", "copy"]
Engine = Literal["local", "ray"]
LayersRead = Literal["last", "all"]
Normalisation = Literal["none", "length", "root"]
MergeHow = Literal["average", "soup"]


def table_option(flag: str, table: str, *, help: str, metavar: str | None = None) -> Any:
    """Return an option whose value is the name of a row of a table in `config.registries`, for `Annotated`."""
    return typer.Option(
        flag,
        metavar=metavar,
        help=help,
        callback=row_of(table),
        autocompletion=completion.table_names(table),
    )


def row_of(table: str) -> Callable[[Any], Any]:
    """Return a callback for an option whose value must name a row of a table, or for a list of such names."""

    def message(text: str) -> str:
        listed_by = registries.LISTED_BY.get(table)
        allowed = f"the names that `{listed_by}` prints" if listed_by else _quoted(registries.names(table))
        hint = registries.hint(table, text, written=repr)
        return f"{text!r} is not one of {allowed}; {hint}" if hint else f"{text!r} is not one of {allowed}."

    return _checked(lambda text: registries.row_name(table, text), message)


def one_of(names: Callable[[], Iterable[str]], find: Callable[[str], str | None] | None = None) -> Callable[[Any], Any]:
    """Return a callback for an option whose value must be one of `names`, or a list of them.

    The names are read when the value is checked, since the modules of some tables take long to import.

    find: returns the name that a text means, or None; without it the text must be the name itself.
    """

    return _checked(
        lambda text: name if (name := find(text) if find else text) in tuple(names()) else None,
        lambda text: _message(text, tuple(names())),
    )


def _checked(find: Callable[[str], str | None], message: Callable[[str], str]) -> Callable[[Any], Any]:
    """Return a callback that replaces each text by the name that `find` returns, or refuses it if that is None."""

    def check(value: Any) -> Any:
        if value is None:
            return None
        return named(value) if isinstance(value, str) else [named(text) for text in value]

    def named(text: str) -> str:
        name = find(text)
        if name is None:
            raise typer.BadParameter(message(text))
        return name

    return check


def _message(text: str, allowed: tuple[str, ...]) -> str:
    """Return the same error message as Typer for a fixed choice, with the nearest name added."""
    message, nearest = f"{text!r} is not one of {_quoted(allowed)}", did_you_mean(text, allowed)
    return f"{message}; {nearest}" if nearest else f"{message}."


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names))
