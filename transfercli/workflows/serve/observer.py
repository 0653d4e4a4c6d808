"""Observer of served models: what the metrics of a server count."""

from __future__ import annotations

DONE, REFUSED = "done", "refused"  # outcomes of a swap


class Observer:
    """Receiver of the events of served models; this base class ignores them all. Called in the thread of the server.

    model: NAME of the served model.
    """

    def queue(self, model: str, images: int) -> None:
        """Receive the number of images that wait for their answer, each time it changes."""

    def batch(self, model: str, images: int, seconds: float) -> None:
        """Receive the size of a batch, and the seconds of its forward pass."""

    def swap(self, model: str, outcome: str) -> None:
        """Receive the end of the loading of another version: `DONE`, or `REFUSED`, once, if the one before goes on."""

    def ended(self, process: str) -> None:
        """Receive the unexpected end of a process: `model` or `decoder`."""

    def left_out(self, model: str, images: int) -> None:
        """Receive the number of images whose answers are not in the answer log, because it is too slow."""
