"""Decoding of images as a network reads them, in worker processes: a hostile file never ends the site."""

from __future__ import annotations

from transfercli.data.decoding.stream import Decoder
from transfercli.workflows.resolved_config import geometry_of
from transfercli.workflows.stored_run import StoredRun
from transfercli.workflows.ui.recent import Recent

MOST_KEPT = 4  # geometries


class InputDecoders:
    """Worker processes that decode images as a network reads them: one for each geometry that was used last."""

    def __init__(self) -> None:
        self._kept = Recent(MOST_KEPT, _end)

    def of(self, run: StoredRun) -> Decoder:
        """Return the decoder of a run's images."""
        geometry = geometry_of(run.config)
        return self._kept.made(geometry, lambda: Decoder(geometry, 1))

    def close(self) -> None:
        """End the worker processes."""
        self._kept.clear()


def _end(decoder: Decoder) -> None:
    decoder.__exit__(None, None, None)
