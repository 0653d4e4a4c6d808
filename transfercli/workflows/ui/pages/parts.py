"""Parts of a page: each is read by itself, so that a damaged one says so and leaves the others as they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from transfercli.errors import TransferError
from transfercli.text import first_line
from transfercli.workflows.ui.run_index import DAMAGE

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Part(Generic[T]):
    """A part of a page. value: None if it cannot be read; problem: the reason, "" without one."""

    value: T | None
    problem: str = ""


def part(read: Callable[[], T]) -> Part[T]:
    """Return what a function reads from the files of a run, or the reason why it cannot be read."""
    try:
        return Part(read())
    except TransferError as error:
        return Part(None, error.message)
    except DAMAGE as error:
        return Part(None, f"{type(error).__name__}: {first_line(error)}")
