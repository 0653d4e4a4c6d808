"""Where in an image a model saw what it said: Grad-CAM, and occlusion, which asks nothing of the model but answers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from transfercli.evaluation.confidence.temperature import class_logits
from transfercli.evaluation.examples import Reader, to_look_at, worst_mistakes
from transfercli.evaluation.explain.heatmaps import Explanation, resized, to_one
from transfercli.evaluation.predictions import Predictions
from transfercli.models.classifier import Classifier
from transfercli.models.forward import forward
from transfercli.models.grad_cam_cut import LastMap, last_map
from transfercli.reporting import Reporter
from transfercli.rows import ArrayRows, Indices, Rows, SelectedRows, TransformedRows

Floats = npt.NDArray[np.float32]

# What it all may cost, in images that pass through the model: a share of the split, or, where that is more, as many
# as have the pixels of 24 usual ones (so that small images, which cost next to nothing, are explained in any split).
SHARE, USUAL_IMAGES, USUAL_PIXELS = 0.1, 24, 224 * 224
MOST_OCCLUDED = 6
# Occlusion: a square of a quarter of the image's sides, at 5 x 5 places that overlap; with the image itself they fit
# into a usual batch.
WINDOW, STEPS = 1 / 4, 5
AT_ONCE = 16


def explain(
    classifier: Classifier, predictions: Predictions, read: Reader, batch_size: int, reporter: Reporter
) -> dict[int, Explanation]:
    """Why each was taken for its predicted class, by index: the worst mistakes, the least sure and a few right images.

    read: as in `ReportContext`. Costs at most 10% of the pass that gave the predictions, but on very small splits.
    """
    size = read(np.array([0])).shape[1:3]
    budget = max(SHARE * len(predictions), USUAL_IMAGES * USUAL_PIXELS / (size[0] * size[1]))
    chosen = to_look_at(predictions)[: int(budget / 2)]
    occluded = [case.index for case in worst_mistakes(predictions)] or chosen
    each = -(-(STEPS**2 + 1) // batch_size) * batch_size  # a last batch that is not full costs as much as a full one
    occluded = occluded[: min(MOST_OCCLUDED, int(budget / 2 / each))]
    if not chosen:
        return {}
    found = _heats(last_map(classifier), predictions, read, chosen, reporter)
    for index in occluded:
        if index in found:
            image, heat = read(np.array([index]))[0], found[index].heat
            drops = occlusion_drops(classifier, image, int(predictions.predicted[index]), batch_size, reporter)
            found[index] = Explanation(heat, spread(drops, size), agreement(heat, drops))
    return found


def _heats(
    cut: LastMap, predictions: Predictions, read: Reader, chosen: Sequence[int], reporter: Reporter
) -> dict[int, Explanation]:
    found: dict[int, Explanation] = {}
    for start in range(0, len(chosen), AT_ONCE):
        indices = np.array(chosen[start : start + AT_ONCE])
        heats = grad_cam(*cut.with_gradient(read(indices), predictions.predicted[indices]))
        found |= {int(index): Explanation(heat) for index, heat in zip(indices, heats, strict=True)}
        reporter.progress("explain", len(found), len(chosen))
    return found


def grad_cam(maps: Floats, gradients: Floats) -> Floats:
    """float32 [N, h, w], 0 to 1, each map's largest value 1 (Selvaraju et al. 2017, "Grad-CAM", equations 1 and 2).

    maps, gradients: float [N, h, w, d]: the activations, and the gradient of the class's score by them. A channel
    weighs what its gradient is on average over all places; what speaks against the class is cut off.
    """
    weights = gradients.mean(axis=(1, 2), keepdims=True, dtype=np.float32)
    heats = np.maximum((maps * weights).sum(axis=-1), 0)
    return to_one(heats)


def covered(image: npt.NDArray[np.uint8]) -> Rows:
    """Return copies of an image [H, W, 3], each with one window in the image's mean colour; the last copy has none."""
    colour = image.mean(axis=(0, 1)).round().astype(np.uint8)
    places = windows(image.shape[:2])

    def cover(copies: npt.NDArray[np.uint8], indices: Indices) -> npt.NDArray[np.uint8]:
        for copy, index in zip(copies, indices, strict=True):
            if index < len(places):
                copy[places[index]] = colour
        return copies

    copies = SelectedRows(ArrayRows(image[None]), np.zeros(len(places) + 1, np.int64))
    return TransformedRows(copies, cover)


def windows(size: tuple[int, ...]) -> list[tuple[slice, slice]]:
    """The 25 places of the covering square in an image of `size` (height, width), line by line."""
    rows, columns = (_steps(side) for side in size)
    return [(row, column) for row in rows for column in columns]


def _steps(side: int) -> list[slice]:
    length = max(1, round(side * WINDOW))
    starts = np.linspace(0, side - length, STEPS).round().astype(int)
    return [slice(start, start + length) for start in starts.tolist()]


def occlusion_drops(
    classifier: Classifier, image: npt.NDArray[np.uint8], wanted: int, batch_size: int, reporter: Reporter
) -> Floats:
    """float32 [5, 5]: how much lower the log-odds of class `wanted` are while a place is covered.

    Zeiler & Fergus 2014, "Visualizing and Understanding Convolutional Networks", section 4.2, who take probabilities:
    of a model that is quite sure those hardly move. Negative where covering makes the model surer.
    """
    from scipy.special import logsumexp

    logits = class_logits(forward(classifier.model, covered(image), batch_size, reporter, "occlude"))
    found = logits[:, wanted] - logsumexp(np.delete(logits, wanted, axis=1), axis=1)
    return (found[-1] - found[:-1]).reshape(STEPS, STEPS).astype(np.float32)


def spread(drops: Floats, size: tuple[int, ...]) -> Floats:
    """float32 [H, W], 0 to 1: the mean drop of the squares that covered each pixel, drops [5, 5]; rises are cut off."""
    total, times = np.zeros(size, np.float32), np.zeros(size, np.float32)
    for place, drop in zip(windows(size), drops.ravel(), strict=True):
        total[place] += drop
        times[place] += 1
    return to_one(np.maximum(total / np.maximum(times, 1), 0)[None])[0]


def agreement(heat: Floats, drops: Floats) -> float | None:
    """Spearman's rank correlation of a Grad-CAM heat [h, w], averaged over each covered place, and the drops [5, 5]."""
    from scipy.stats import rankdata

    large = resized(heat, (96, 96))
    means = np.array([large[place].mean() for place in windows(large.shape)])
    a, b = rankdata(means.round(6)), rankdata(drops.ravel().round(6))
    if not (a.std() and b.std()):
        return None
    return float(np.corrcoef(a, b)[0, 1])
