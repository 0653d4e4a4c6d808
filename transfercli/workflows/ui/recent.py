"""Values that were used last: a bounded number is kept in memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import RLock
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Recent(Generic[Value]):
    """Values by key, at most `most`; the least recently used one gives way. Safe to use from several threads.

    dropped: called with each value that gives way.
    """

    def __init__(self, most: int, dropped: Callable[[Value], None] = lambda _: None) -> None:
        self._most, self._dropped, self._lock = most, dropped, RLock()
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
            self._kept[key] = value
            self._kept.move_to_end(key)
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
        while len(self._kept) > most:
            self._dropped(self._kept.popitem(last=False)[1])
