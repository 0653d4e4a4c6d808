"""Union-find: things that are joined in pairs, and who ends up together (Tarjan 1975, halving the paths)."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)


class Joined(Generic[T]):
    """Sets that grow together. Iterating gives everything that was named, in that order."""

    def __init__(self) -> None:
        self._above: dict[T, T] = {}

    def __iter__(self) -> Iterator[T]:
        return iter(self._above)

    def find(self, one: T) -> T:
        """The member that stands for all that `one` is joined with; `one` itself where that is nothing."""
        above = self._above
        above.setdefault(one, one)
        while above[one] != one:
            above[one] = above[above[one]]
            one = above[one]
        return one

    def join(self, one: T, other: T) -> bool:
        """Join the sets of both; False where they were one before."""
        first, second = self.find(one), self.find(other)
        self._above[second] = first
        return first != second
