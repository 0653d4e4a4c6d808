"""Blurred, dark and over-exposed pictures, by a grey thumbnail of each: a picture must also differ from its set.

Sharpness is the response of the Laplacian at the strongest edges, divided by the contrast (Pertuz, Puig & Garcia 2013
compare such measures). The mean over the picture, as in the usual variance of the Laplacian, would be low for a
sharp object on an even background. A thumbnail of a blurred and noisy picture is not recognised.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

SIDE = 128  # pixels of a thumbnail; smaller images are not enlarged
EDGES = 0.02  # share of a picture that counts as its strongest edges
BLURRED = 0.12  # sharpness of edges that are smeared over more than about three pixels of the thumbnail
DARK = 64  # levels; a picture is dark if its brightest pixels are below it
PALE = 160  # levels; a picture is over-exposed if its darkest pixels are above it
WHITE = 250  # level from which a value is clipped
CLIPPED = 0.4  # share of clipped values of an over-exposed picture
PAPER = 0.9  # share of white pixels along the border of a picture with a white background
GREYS = (64, 128)  # levels that stand for missing data of a JPEG in CMYK, and of any other
TYPICAL = 20  # pictures of a set that is large enough to differ from

# Sharpness; levels that 0.5% and 99.5% of the pixels are below; share of clipped values; share of white pixels along
# the border; True if an edge may stand for missing data of a JPEG.
MEASURES = np.dtype(
    [("sharp", "<f4"), ("low", "<f4"), ("high", "<f4"), ("clipped", "<f4"), ("paper", "<f4"), ("grey_edge", "?")]
)
Measures = npt.NDArray[np.void]  # of dtype MEASURES, [N]


def measure(image: np.ndarray) -> Measures:
    """Return the measures of an image, uint8 [h, w, 3], as an array of no dimensions."""
    from PIL import Image

    grey, side = Image.fromarray(image).convert("L"), min(SIDE, *image.shape[:2])
    levels = np.asarray(grey.resize((side, side), Image.Resampling.BOX), np.float32)
    low, high = np.percentile(levels, [0.5, 99.5])
    border = np.concatenate([levels[0], levels[-1], levels[:, 0], levels[:, -1]])
    sharp = _edge_response(levels) / max(high - low, 1.0)
    values = (sharp, low, high, (image >= WHITE).mean(), (border >= WHITE).mean(), _has_grey_edge(image))
    return np.array(values, MEASURES)


def _edge_response(levels: npt.NDArray[np.float32]) -> float:
    """Return the mean absolute Laplacian of the strongest edges."""
    inner = levels[1:-1, 1:-1]
    if inner.size == 0:
        return 0.0
    laplacian = np.abs(4 * inner - levels[:-2, 1:-1] - levels[2:, 1:-1] - levels[1:-1, :-2] - levels[1:-1, 2:])
    strongest = max(1, int(EDGES * inner.size))
    return float(np.partition(laplacian, -strongest, axis=None)[-strongest:].mean())


def _has_grey_edge(image: np.ndarray) -> bool:
    """Return True if an edge of an image is of one of the greys that decoders show for missing data."""
    edges = (image[0], image[-1], image[:, 0], image[:, -1])
    return any(np.abs(edge.astype(int) - grey).max() <= 2 for edge in edges for grey in GREYS)


def defects(measures: Measures) -> list[list[str]]:
    """Return the defects of each picture of a set: `blurred: …`, `dark: …` or `over-exposed: …`."""
    if not len(measures):
        return []
    typical = {name: float(np.median(measures[name])) for name in ("sharp", "low", "high", "clipped")}
    contrast = measures["high"] - measures["low"]
    blurred = (measures["sharp"] < BLURRED) & (measures["sharp"] < typical["sharp"] / 3) & (contrast > 8)
    dark = (measures["high"] < DARK) & (measures["high"] < typical["high"] / 2)
    clipped = (measures["clipped"] >= CLIPPED) & (typical["clipped"] < CLIPPED / 2)
    pale = (measures["low"] >= PALE) & (typical["low"] < PALE / 2)
    overexposed = (clipped | pale) & (measures["paper"] < PAPER)
    found: Sequence[tuple[str, npt.NDArray[np.bool_]]] = (
        ("blurred: no sharp edge", blurred & (len(measures) >= TYPICAL)),
        ("dark: hardly a bright pixel", dark & (contrast > 0)),
        ("over-exposed: hardly a dark pixel, or many white ones", overexposed & (contrast > 0)),
    )
    return [[text for text, rows in found if rows[row]] for row in range(len(measures))]
