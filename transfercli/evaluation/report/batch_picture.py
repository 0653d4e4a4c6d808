"""A picture of a training batch after augmentation, with the target under each image."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from transfercli.evaluation.report.plots import clipped, figure_png, plot_style
from transfercli.io import atomic
from transfercli.io.session import once

SHOWN, COLUMNS = 16, 4
PARTS = 2  # classes named under a mixed image
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as Pillow converts colour to grey


def batch_png(
    path: Path,
    images: npt.NDArray[np.uint8],
    targets: npt.NDArray[np.int32] | npt.NDArray[np.float32],
    labels: Sequence[str],
    *,
    grey: bool = False,
) -> None:
    """Write a PNG of the first 16 images, uint8 [n, H, W, 3], with targets int [n] or class shares [n, C].

    grey: True if the first layer of the model converts the images to grey.
    """
    captions, shown = [caption(target, labels) for target in targets[:SHOWN]], images[:SHOWN]
    key = hashlib.sha256(np.ascontiguousarray(shown).data).hexdigest(), shown.shape, tuple(captions), grey
    atomic.write_bytes(path, once("batch picture", key, lambda: render_batch(shown, captions, grey)))


def caption(target: npt.NDArray[np.float32] | np.int32, labels: Sequence[str]) -> str:
    """Return the class name, or the names and shares of the two largest classes of a mixed target, one per line."""
    if np.ndim(target) == 0:
        return clipped(labels[int(target)])
    shares = np.asarray(target)
    largest = [index for index in np.argsort(-shares, kind="stable")[:PARTS] if shares[index] >= 0.005]
    if len(largest) == 1:
        return clipped(labels[largest[0]])
    return "\n".join(f"{shares[index]:.0%} {clipped(labels[index])}" for index in largest)


def render_batch(images: npt.NDArray[np.uint8], captions: Sequence[str], grey: bool = False) -> bytes:
    """Return the picture as PNG bytes, four images in a line."""
    from matplotlib.figure import Figure

    columns = max(1, min(COLUMNS, len(images)))
    lines = max(1, -(-len(images) // columns))
    if grey:
        images = np.repeat(np.rint(images @ np.array(LUMA)).astype(np.uint8)[..., None], 3, axis=-1)
    with plot_style():
        figure = Figure((columns * 1.9, lines * 2.2), layout="constrained")
        for axes in figure.subplots(lines, columns, squeeze=False).ravel():
            axes.set_axis_off()
        for axes, image, text in zip(figure.axes, images, captions, strict=False):
            axes.imshow(image, interpolation="nearest")
            axes.set_title(text, y=-0.03, va="top", pad=0, fontsize=8)  # below the image, not on it
        return figure_png(figure)
