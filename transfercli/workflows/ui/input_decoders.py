"""Decoding of images as a network reads them, in worker processes: a hostile file never ends the site."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock

from transfercli.data.decoding.stream import Decoder
from transfercli.data.image import Geometry
from transfercli.workflows.resolved_config import geometry_of
from transfercli.workflows.stored_run import StoredRun


class InputDecoders:
    """Worker processes that decode images as a network reads them: one for each geometry that was used last."""

    def __init__(self, most: int = 4) -> None:
        self._most, self._lock = most, Lock()
        self._kept: OrderedDict[Geometry, Decoder] = OrderedDict()

    def of(self, run: StoredRun) -> Decoder:
        """Return the decoder of a run's images."""
        geometry = geometry_of(run.config)
        with self._lock:
            if geometry not in self._kept:
                while len(self._kept) >= self._most:
                    self._kept.popitem(last=False)[1].__exit__(None, None, None)
                self._kept[geometry] = Decoder(geometry, 1)
            self._kept.move_to_end(geometry)
            return self._kept[geometry]

    def close(self) -> None:
        """End the worker processes."""
        with self._lock:
            for decoder in self._kept.values():
                decoder.__exit__(None, None, None)
            self._kept.clear()
