"""Frozen prefix: the part of a network that computes features of images, and the check of its precision."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

from transfercli.data.cache.segments import Space
from transfercli.models.forward import computing_in
from transfercli.models.passes.batch_size import BATCH, batch_size
from transfercli.models.passes.compiled import compiled
from transfercli.models.passes.overlap import outputs_of, padded
from transfercli.models.placement import gathered
from transfercli.models.surgery import Cut
from transfercli.reporting import Reporter
from transfercli.rows import Rows
from transfercli.transfer.features.views import Views

VERSION = 1  # of the computation of features; a new number invalidates all cached ones
TOLERANCE = 0.05  # relative difference of the first batch's features from float32; above it, float32 is used


class Prefix:
    """Function of raw pixels uint8 [n, H, W, 3] that returns features [n, *shape].

    Pooled features are float32; maps have the dtype of `precision` ("float32" or "bfloat16").

    batch: images per step, always, so that features do not depend on the other images of a batch, to the bit.
    """

    def __init__(self, cut: Cut, precision: str) -> None:
        self.cut, self.precision = cut, precision
        # Its own model, because a model keeps the step function of the precision in which it was first called.
        self._model = keras.Model(cut.prefix.input, cut.prefix.output)
        self.dtype = precision if len(cut.feature_shape) > 1 else "float32"
        self.batch = batch_size(self._model, precision)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        return self._as_stored(gathered(self._compiled()(padded(images, self.batch)))[: len(images)])

    def batches(self, inputs: Rows, rows: np.ndarray) -> Iterator[np.ndarray]:
        """Yield the features of `inputs` at `rows`, a batch at a time."""
        yield from map(self._as_stored, outputs_of(self._compiled(), inputs, rows, self.batch))

    def _compiled(self) -> Callable[[np.ndarray], Any]:
        compute = compiled(self._model)

        def start(images: np.ndarray) -> Any:
            with computing_in(self.precision, self._model):
                return compute(images)

        return start

    def _as_stored(self, features: np.ndarray) -> np.ndarray:
        return features.astype(self.dtype, copy=False)  # as in the cache, also without one

    @property
    def row_bytes(self) -> int:
        """Bytes of the features of one image."""
        return Space("", self.cut.feature_shape, self.dtype).row_bytes

    def spaces(self, pixels: str, views: Views | None) -> list[Space]:
        """Return the cache space of its features, or one for each of the layers whose vectors are side by side in them.

        pixels: name of the conversion from file to pixels.
        """
        if not self.cut.parts:
            return [self._space(self.cut.key, self.cut.prefix, self.cut.feature_shape, pixels, views)]
        return [self._space(part.key, part.prefix, (part.width,), pixels, views) for part in self.cut.parts]

    def output_space(self, pixels: str) -> Space:
        """Return the last of the `spaces` of images without views, that of the base's output."""
        if not self.cut.parts:
            return self.spaces(pixels, None)[0]
        last = self.cut.parts[-1]
        return self._space(last.key, last.prefix, (last.width,), pixels, None)

    def _space(self, key: str, prefix: keras.Model, shape: tuple[int, ...], pixels: str, views: Views | None) -> Space:
        """Return a cache space; its name is a hash of all that determines the features but the image file."""
        facts = [VERSION, key, pixels, self.precision, keras.backend.backend(), views and views.key]
        digest = hashlib.sha256(json.dumps(facts).encode())
        for variable in prefix.weights:
            value = keras.ops.convert_to_numpy(variable)
            digest.update(f"{value.dtype}{value.shape}".encode())
            digest.update(np.ascontiguousarray(value).data)
        return Space(f"features/{digest.hexdigest()[:32]}", shape, self.dtype)


# Returns the stored difference of a prefix from float32, or calls the second argument to measure it.
DifferenceLookup = Callable[[Prefix, Callable[[], float]], float]


def checked_prefix(cut: Cut, precision: str, images: Rows, look_up: DifferenceLookup, reporter: Reporter) -> Prefix:
    """Return the prefix in `precision`, or in float32 if the first batch's features differ by more than `TOLERANCE`."""
    prefix = Prefix(cut, precision)
    if precision == "float32":
        return prefix
    exact = Prefix(cut, "float32")
    difference = look_up(prefix, lambda: relative_difference(prefix, exact, images))
    if difference <= TOLERANCE:
        reporter.debug(f"features in {precision} differ from float32 by {difference:.2%} (relative, first batch)")
        return prefix
    reporter.warning(
        f"features in {precision} differ from float32 by {difference:.1%} on the first batch: float32 is used"
    )
    return exact


def relative_difference(prefix: Prefix, exact: Prefix, images: Rows) -> float:
    """Return |features - exact| / |exact| of the first batch, in the Euclidean norm over all of its features.

    Of several layers side by side it is that of the base's output, where the errors of all layers add up; so a head
    that reads that output alone finds the same number.
    """
    batch = images.read(np.arange(min(BATCH, len(images))))
    width = prefix.cut.parts[-1].width if prefix.cut.parts else prefix.cut.feature_shape[-1]
    expected, actual = (network(batch)[..., -width:].astype("float64") for network in (exact, prefix))
    return float(np.linalg.norm(actual - expected)) / max(float(np.linalg.norm(expected)), 1e-30)


def compute_features(
    prefix: Prefix, inputs: Rows, rows: np.ndarray, reporter: Reporter
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (row, features [*shape]) for each of `rows`.

    inputs: images uint8 [H, W, 3], or augmented views of them.
    """
    done = 0
    for features in prefix.batches(inputs, rows):
        yield from zip(rows[done : done + len(features)].tolist(), features, strict=True)
        done += len(features)
        reporter.progress("features", done, len(rows))
