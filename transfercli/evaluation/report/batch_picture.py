"""A picture of a training batch after augmentation, with the target under each image."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from transfercli.evaluation.report.plots import LABEL_LENGTH, clipped, figure_png, plot_style
from transfercli.io import atomic
from transfercli.io.session import once

SHOWN, COLUMNS = 16, 4
PARTS = 2  # lines under an image: classes of a mixed one
LEAST_SHARE = 0.005  # of a class or label that is named
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as Pillow converts colour to grey


def batch_png(
    path: Path,
    images: npt.NDArray[np.uint8],
    targets: npt.NDArray[np.int32] | npt.NDArray[np.float32],
    labels: Sequence[str],
    *,
    grey: bool = False,
    several: bool = False,
) -> None:
    """Write a PNG of the first 16 images, uint8 [n, H, W, 3], with targets int [n] or class shares [n, C].

    grey: True if the first layer of the model converts the images to grey. several: True if an image may have several
    labels; the targets are then the share of each label, [n, L], negative if it is unknown.
    """
    text_of = label_caption if several else caption
    captions, shown = [text_of(target, labels) for target in targets[:SHOWN]], images[:SHOWN]
    key = hashlib.sha256(np.ascontiguousarray(shown).data).hexdigest(), shown.shape, tuple(captions), grey
    atomic.write_bytes(path, once("batch picture", key, lambda: render_batch(shown, captions, grey)))


def caption(target: npt.NDArray[np.float32] | np.int32, labels: Sequence[str]) -> str:
    """Return the class name, a number, or the names and shares of a mixed target's two largest classes in lines."""
    if np.ndim(target) == 0 and np.asarray(target).dtype.kind == "f":
        return f"{float(target):.6g}"
    if np.ndim(target) == 0:
        return clipped(labels[int(target)])
    shares = np.asarray(target)
    largest = [index for index in np.argsort(-shares, kind="stable")[:PARTS] if shares[index] >= LEAST_SHARE]
    if len(largest) == 1:
        return clipped(labels[largest[0]])
    return "\n".join(f"{shares[index]:.0%} {clipped(labels[index])}" for index in largest)


def label_caption(target: npt.NDArray[np.number], labels: Sequence[str]) -> str:
    """Return the names of the labels with a share above 0, with the share unless it is 1, and of unknown ones.

    They are in two lines at most, which end with the number of further ones.
    """
    shares = np.asarray(target, np.float64)
    order = np.argsort(-np.abs(shares), kind="stable")
    has = [index for index in order if shares[index] >= LEAST_SHARE]
    parts = [clipped(labels[i]) if shares[i] == 1 else f"{shares[i]:.0%} {clipped(labels[i])}" for i in has]
    parts += [f"{clipped(labels[index])}?" for index in order if shares[index] < 0]
    lines, left = [""], len(parts)
    for part in parts:
        if lines[-1] and len(lines[-1]) + len(part) + 2 > LABEL_LENGTH:
            if len(lines) == PARTS:
                return "\n".join(lines) + f" +{left}"
            lines[-1] += ","
            lines.append("")
        lines[-1] += f", {part}" if lines[-1] else part
        left -= 1
    return "\n".join(lines) or "no label"


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
