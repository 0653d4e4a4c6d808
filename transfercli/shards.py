"""Shards: the i-th of n disjoint parts of a list of work, for job arrays and clusters."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from transfercli.errors import UsageError

Entry = TypeVar("Entry")


@dataclass(frozen=True)
class Shard:
    """Part `number` of `count`, counted from 1."""

    number: int
    count: int

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def of(self, entries: Sequence[Entry]) -> list[Entry]:
        """Return every `count`-th entry, so that all shards take about as long whatever the order of the entries."""
        return list(entries[self.number - 1 :: self.count])

    def taken(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """Yield the same part of entries that arrive one by one."""
        return islice(entries, self.number - 1, None, self.count)


def parse_shard(text: str) -> Shard:
    """Return the shard that `i/n` names. Raises `UsageError` unless 1 <= i <= n."""
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text, re.ASCII)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise UsageError(
            f"--shard is {text!r}, which is no part of a whole",
            "shards are counted from 1: give i/n with 1 <= i <= n; 1/4, 2/4, 3/4 and 4/4 together do all the work",
        )
    return Shard(int(match[1]), int(match[2]))
