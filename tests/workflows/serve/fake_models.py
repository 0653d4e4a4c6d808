"""Served models whose answers can be computed by hand: the levels of an image decide on its probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np

from transfercli.data.decoding.decode import decode_bytes, resize_array
from transfercli.data.image import Geometry
from transfercli.workflows.predict.predictions import Prediction
from transfercli.workflows.serve.hosting import READY, AnswerOptions, Answers

LABELS = ("red", "green", "blue")
SIDE = 4


@dataclass
class FakeModel:
    """Model whose probabilities are the shares of red, green and blue, and that abstains below 0.5.

    failure: raised in place of an answer.
    """

    name: str = "colours"
    version: str = "run-1"
    labels: tuple[str, ...] = LABELS
    geometry: Geometry = field(default_factory=lambda: Geometry(SIDE, SIDE))
    state: str = READY
    several: bool = False
    has_numbers: bool = False
    failure: BaseException | None = None
    asked: list[AnswerOptions] = field(default_factory=list)

    async def answer(self, images: Sequence[bytes | np.ndarray], options: AnswerOptions) -> Answers:
        self.asked.append(options)
        if self.failure is not None:
            raise self.failure
        greeting = SimpleNamespace(several=self.several, has_numbers=self.has_numbers)
        source = SimpleNamespace(version=self.version)
        version: Any = SimpleNamespace(source=source, labels=self.labels, greeting=greeting)
        found = [self._answer(image, options) for image in images]
        return Answers([one for one, _ in found], version, [row for _, row in found])

    def _answer(self, image: bytes | np.ndarray, options: AnswerOptions) -> tuple[Prediction, np.ndarray | None]:
        read = decode_bytes if isinstance(image, bytes) else resize_array
        decoded = read(image, self.geometry)  # type: ignore[operator]
        if decoded.pixels is None:
            return Prediction("", error=decoded.problem), None
        levels = decoded.pixels.reshape(-1, 3).sum(axis=0, dtype=np.float64) + 1
        row = (levels / levels.sum()).astype(np.float32)
        if self.has_numbers:
            row = row[:1]
            return Prediction("", value=float(str(row[0]))), row
        order = np.argsort(-row, kind="stable")
        pairs = tuple((self.labels[i], float(str(row[i]))) for i in order)
        abstained = options.abstain and bool(row.max() < 0.5)
        if not self.several:
            return Prediction("", pairs[: options.top], abstained), row
        answered = tuple(pair for pair in pairs if pair[1] >= 0.3)
        return Prediction("", pairs[: options.top], abstained, answered=answered, unsure=self.labels[:1]), row
