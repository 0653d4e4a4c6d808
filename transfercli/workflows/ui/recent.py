"""Values that were used last: a bounded number or size of them is kept in memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import RLock
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Recent(Generic[Value]):
    """Values by key, of at most `most` together; the least recently used ones give way. Safe for several threads.

    dropped: called with each value that gives way. size: returns what a value counts; 1 without it.
    """

    def __init__(
        self,
        most: int,
        dropped: Callable[[Value], None] = lambda _: None,
        size: Callable[[Value], int] = lambda _: 1,
    ) -> None:
        self._most, self._dropped, self._size_of, self._lock = most, dropped, size, RLock()
        self._size = 0  # of all values
        self._kept: OrderedDict[Hashable, Value] = OrderedDict()

    def get(self, key: Hashable) -> Value | None:
        """Return the value of a key, or None."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def put(self, key: Hashable, value: Value) -> Value:
        """Keep a value, and return it."""
        with self._lock:
            if key in self._kept:
                self._size -= self._size_of(self._kept.pop(key))
            self._kept[key] = value
            self._size += self._size_of(value)
            self._shrink(self._most)
        return value

    def made(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """Return the value of a key, which is made now if there is none; other threads wait meanwhile."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
            return self.put(key, make())

    def clear(self) -> None:
        """Drop all values."""
        with self._lock:
            self._shrink(0)

    def _shrink(self, most: int) -> None:
        while self._size > most:
            _, value = self._kept.popitem(last=False)
            self._size -= self._size_of(value)
            self._dropped(value)
