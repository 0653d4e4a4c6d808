"""Processes that train together, and the part of each."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Processes:
    """This process among those that train together.

    rank: number of this process, from 0; count: number of processes; devices: number of devices of all processes.
    """

    rank: int = 0
    count: int = 1
    devices: int = 1

    @property
    def is_chief(self) -> bool:
        """True for the process that locks, writes, tracks and decides: rank 0."""
        return self.rank == 0


_ALONE = Processes()
_now = _ALONE


def processes() -> Processes:
    """Return this process's place among those that train together; one of one unless training is distributed."""
    return _now


def set_processes(value: Processes) -> None:
    """Set this process's place, once it has joined the others."""
    global _now
    _now = value
