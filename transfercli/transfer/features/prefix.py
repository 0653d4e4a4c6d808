"""A frozen prefix at work: the part of a network that turns an image into features, always the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np

from transfercli.data.cache.segments import Space
from transfercli.models.forward import computing_in
from transfercli.models.surgery import Cut
from transfercli.reporting import Reporter
from transfercli.rows import Rows
from transfercli.transfer.features.views import Views

VERSION = 1  # of how features are computed; another number finds none of the old ones
BATCH = 32  # images a step, always: an image's features are the same bits whatever images are beside it
TOLERANCE = 0.05  # relative difference of a first batch's features from float32, above which float32 is used


class Prefix:
    """Raw pixels uint8 [n, H, W, 3] -> features [n, *shape].

    Pooled features are float32; maps stay in the `precision` ("float32" or "bfloat16") that they are computed in.
    """

    def __init__(self, cut: Cut, precision: str) -> None:
        self.cut, self.precision = cut, precision
        self._model = keras.Model(cut.prefix.input, cut.prefix.output)  # one step function a precision
        self.dtype = precision if len(cut.feature_shape) > 1 else "float32"

    def __call__(self, images: np.ndarray) -> np.ndarray:
        padded = images[np.arange(BATCH) % len(images)]
        with computing_in(self.precision, self._model):
            return np.asarray(self._model.predict_on_batch(padded))[: len(images)]

    @property
    def row_bytes(self) -> int:
        """Bytes of one image's features."""
        return Space("", self.cut.feature_shape, self.dtype).row_bytes

    def space(self, pixels: str, views: Views | None) -> Space:
        """Where its features stand: a name for everything that they follow from, the image's file apart.

        pixels: how a file becomes them.
        """
        facts = [VERSION, self.cut.key, pixels, self.precision, keras.backend.backend(), views and views.key]
        digest = hashlib.sha256(json.dumps(facts).encode())
        for variable in self.cut.prefix.weights:
            value = keras.ops.convert_to_numpy(variable)
            digest.update(f"{value.dtype}{value.shape}".encode())
            digest.update(np.ascontiguousarray(value).data)
        return Space(f"features/{digest.hexdigest()[:32]}", self.cut.feature_shape, self.dtype)


Known = Callable[[Prefix, Callable[[], float]], float]


def checked_prefix(cut: Cut, precision: str, images: Rows, known: Known, reporter: Reporter) -> Prefix:
    """The prefix in `precision`, or in float32 where the features of a first batch are too far from float32's.

    known: gives what is known of the difference of such a prefix, or measures it.
    """
    prefix = Prefix(cut, precision)
    if precision == "float32":
        return prefix
    exact = Prefix(cut, "float32")
    difference = known(prefix, lambda: relative_difference(prefix, exact, images))
    if difference <= TOLERANCE:
        reporter.debug(f"features in {precision} differ from float32 by {difference:.2%} (relative, first batch)")
        return prefix
    reporter.warning(
        f"features in {precision} differ from float32 by {difference:.1%} on a first batch: float32 is used"
    )
    return exact


def relative_difference(prefix: Prefix, exact: Prefix, images: Rows) -> float:
    """Of the features of a first batch from exact ones, in the norm of them all."""
    batch = images.read(np.arange(min(BATCH, len(images))))
    wanted, found = (one(batch).astype("float64") for one in (exact, prefix))
    return float(np.linalg.norm(found - wanted)) / max(float(np.linalg.norm(wanted)), 1e-30)


def computed(prefix: Prefix, inputs: Rows, rows: np.ndarray, reporter: Reporter) -> Iterator[tuple[int, np.ndarray]]:
    """(row, features [*shape]) of each of `rows`; the next batch is read while one is computed.

    inputs: images uint8 [H, W, 3], or augmented views of them.
    """
    batches = [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]
    with ThreadPoolExecutor(1) as reader:
        coming = [reader.submit(inputs.read, batch) for batch in batches[:1]]
        for number, batch in enumerate(batches):
            images = coming.pop().result()
            coming += [reader.submit(inputs.read, later) for later in batches[number + 1 : number + 2]]
            yield from zip(batch.tolist(), prefix(images), strict=True)
            reporter.progress("features", min((number + 1) * BATCH, len(rows)), len(rows))
