"""Attribution of a predicted class or a label to image regions: by gradients, and by occlusion, from predictions only.

The gradients are Grad-CAM for a base that returns a map, and those of the patches' shares in attention for a base that
returns tokens (`models/explanations/`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from transfercli.config.types import MULTILABEL, Task
from transfercli.evaluation.confidence.temperature import class_logits
from transfercli.evaluation.examples import Reader, images_to_explain, worst_mistakes
from transfercli.evaluation.explain.heatmaps import GRAD_CAM, PATCH_GRADIENT, Explanation, normalised, resized
from transfercli.evaluation.multilabel.examples import images_to_explain as label_cases
from transfercli.evaluation.multilabel.predictions import LabelPredictions
from transfercli.evaluation.predictions import Predictions
from transfercli.evaluation.regression.predictions import ValuePredictions
from transfercli.models.classifier import Classifier
from transfercli.models.explanations.grad_cam_cut import cut_for_grad_cam
from transfercli.models.explanations.patch_gradients import patch_gradients
from transfercli.models.forward import forward
from transfercli.reporting import Reporter
from transfercli.rows import ArrayRows, Indices, Rows, SelectedRows, TransformedRows

Floats = npt.NDArray[np.float32]
Question = tuple[int, int]  # index of an image, and of the class or label to explain

# The budget in forward passes of one image: a share of the split or, if that is more, as many images as have the pixels
# of 24 usual ones, so that cheap small images are explained in a split of any size.
SHARE, USUAL_IMAGES, USUAL_PIXELS = 0.1, 24, 224 * 224
MOST_OCCLUDED = 6
# Occlusion: a square of a quarter of the image's sides at 5 x 5 overlapping positions; with the image itself these are
# 26 images, which fit into a batch of usual size.
WINDOW, STEPS = 1 / 4, 5
AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class GradientMethod:
    """Way to make heat maps by gradients.

    heats: images uint8 [N, H, W, 3] and the index of a class for each -> heat maps float32 [N, h, w], 0 to 1.
    """

    name: str
    heats: Callable[[npt.NDArray[np.uint8], npt.NDArray[np.integer]], Floats]


def explain(
    classifier: Classifier,
    predictions: Predictions | LabelPredictions | ValuePredictions,
    read: Reader,
    batch_size: int,
    reporter: Reporter,
) -> dict[Any, Explanation]:
    """Explain the predicted class of the worst mistakes, the least sure and a few right images, by their index.

    With several labels, explain those that such images have or are answered with, by (index of the image, index of the
    label). read: as in `ReportContext`. The cost is at most 10% of the forward pass over the split, except for small
    splits.
    """
    if isinstance(predictions, ValuePredictions):  # no region supports a number as it supports a class
        return {}
    if isinstance(predictions, LabelPredictions):
        asked, occluded = label_questions(predictions)
        return _explain(classifier, asked, occluded, len(predictions), read, batch_size, reporter)
    predicted = predictions.predicted
    asked, occluded = (
        [(index, int(predicted[index])) for index in indices]
        for indices in (images_to_explain(predictions), [case.index for case in worst_mistakes(predictions)])
    )
    found = _explain(classifier, asked, occluded, len(predictions), read, batch_size, reporter)
    return {index: explanation for (index, _), explanation in found.items()}


def label_questions(predictions: LabelPredictions) -> tuple[list[Question], list[Question]]:
    """Return the labels to explain by gradients, and those to occlude: the labels that images are mistaken about."""
    cases = label_cases(predictions)
    asked = [(case.index, mark.label) for case in cases for mark in case.explained]
    subjects = ((case.index, case.subject) for case in cases)
    wrong = [(index, mark.label) for index, mark in subjects if mark is not None and mark.kind in ("missed", "false")]
    return asked, wrong


def _explain(
    classifier: Classifier,
    asked: Sequence[Question],
    occluded: Sequence[Question],
    images: int,
    read: Reader,
    batch_size: int,
    reporter: Reporter,
) -> dict[Question, Explanation]:
    """Return the explanations that fit into the budget of a split of so many images."""
    size = read(np.array([0])).shape[1:3]
    budget = max(SHARE * images, USUAL_IMAGES * USUAL_PIXELS / (size[0] * size[1]))
    chosen = asked[: int(budget / 2)]
    cost = -(-(STEPS**2 + 1) // batch_size) * batch_size  # an incomplete last batch costs as much as a full one
    occluded = (occluded or chosen)[: min(MOST_OCCLUDED, int(budget / 2 / cost))]
    if not chosen:
        return {}
    explanations = _explanations(classifier, read, chosen, reporter)
    for index, target in occluded:
        if (index, target) in explanations:
            image, heat = read(np.array([index]))[0], explanations[index, target].heat
            drops = occlusion_drops(classifier, image, target, batch_size, reporter)
            explanations[index, target] = replace(
                explanations[index, target],
                occlusion=occlusion_map(drops, size),
                agreement=rank_agreement(heat, drops),
            )
    return explanations


def gradient_method(classifier: Classifier) -> GradientMethod:
    """Return the method for the output of the classifier's base: a map [N, h, w, d] or tokens [N, T, d]."""
    # The one unit of a single label answers it; that of two classes answers the second of them.
    first = int(classifier.task == MULTILABEL and len(classifier.labels) == 1)
    if len(classifier.base.output.shape) == 3:
        gradients = patch_gradients(classifier)
        return GradientMethod(
            PATCH_GRADIENT, lambda images, classes: normalised(np.maximum(gradients(images, classes + first), 0))
        )
    cut = cut_for_grad_cam(classifier)
    return GradientMethod(GRAD_CAM, lambda images, classes: grad_cam(*cut.with_gradient(images, classes + first)))


def _explanations(
    classifier: Classifier, read: Reader, chosen: Sequence[Question], reporter: Reporter
) -> dict[Question, Explanation]:
    method = gradient_method(classifier)
    explanations: dict[Question, Explanation] = {}
    for start in range(0, len(chosen), AT_ONCE):
        questions = chosen[start : start + AT_ONCE]
        indices, classes = np.array(questions).T
        heats = method.heats(read(indices), classes)
        explanations |= {
            question: Explanation(method.name, heat) for question, heat in zip(questions, heats, strict=True)
        }
        reporter.progress("explain", len(explanations), len(chosen))
    return explanations


def grad_cam(maps: Floats, gradients: Floats) -> Floats:
    """Return heat maps float32 [N, h, w] from 0 to 1 (Selvaraju et al. 2017, "Grad-CAM", equations 1 and 2).

    maps, gradients: float [N, h, w, d]: the activations, and the gradient of the class score with respect to them. The
    weight of a channel is the mean of its gradient over all positions; negative sums are set to 0. The largest value of
    each map is 1, unless all are 0.
    """
    # Products of large activations and gradients, as of a network that diverged, overflow in float32.
    weights = gradients.mean(axis=(1, 2), keepdims=True, dtype=np.float64)
    heats = np.maximum((maps * weights).sum(axis=-1), 0)
    return normalised(heats)


def occluded_copies(image: npt.NDArray[np.uint8]) -> Rows:
    """Return copies of an image [H, W, 3], each with one window in the image's mean colour; the last copy has none."""
    colour = image.mean(axis=(0, 1)).round().astype(np.uint8)
    squares = windows(image.shape[:2])

    def cover(copies: npt.NDArray[np.uint8], indices: Indices) -> npt.NDArray[np.uint8]:
        for copy, index in zip(copies, indices, strict=True):
            if index < len(squares):
                copy[squares[index]] = colour
        return copies

    copies = SelectedRows(ArrayRows(image[None]), np.zeros(len(squares) + 1, np.int64))
    return TransformedRows(copies, cover)


def windows(size: tuple[int, ...]) -> list[tuple[slice, slice]]:
    """Return the 25 positions of the occluding square in an image of `size` (height, width), row by row."""
    rows, columns = (_steps(side) for side in size)
    return [(row, column) for row in rows for column in columns]


def _steps(side: int) -> list[slice]:
    length = max(1, round(side * WINDOW))
    starts = np.linspace(0, side - length, STEPS).round().astype(int)
    return [slice(start, start + length) for start in starts.tolist()]


def occlusion_drops(
    classifier: Classifier, image: npt.NDArray[np.uint8], target: int, batch_size: int, reporter: Reporter
) -> Floats:
    """Return by how much covering each window lowers the log-odds of class or label `target`, float32 [5, 5].

    After Zeiler & Fergus 2014, "Visualizing and Understanding Convolutional Networks", section 4.2. They use
    probabilities, which hardly change if the model is very confident. Negative if covering raises the log-odds.
    """
    logits = forward(classifier.model, occluded_copies(image), batch_size, reporter, "occlude")
    log_odds = LOG_ODDS[classifier.task](logits, target)
    drops = (log_odds[-1] - log_odds[:-1]).reshape(STEPS, STEPS)
    return np.where(np.isfinite(drops), drops, 0).astype(np.float32)


def _class_log_odds(outputs: npt.NDArray[np.floating], target: int) -> npt.NDArray[np.floating]:
    from scipy.special import logsumexp

    logits = class_logits(outputs)
    return logits[:, target] - logsumexp(np.delete(logits, target, axis=1), axis=1)


# Log-odds [N] of one class or label, from the outputs [N, units] of the network.
LOG_ODDS: dict[Task, Callable[[npt.NDArray[np.floating], int], npt.NDArray[np.floating]]] = {
    "classify": _class_log_odds,
    "ordinal": _class_log_odds,
    "multilabel": lambda outputs, target: outputs[:, target].astype(np.float64),
    "regression": lambda outputs, target: outputs[:, target].astype(np.float64),  # the number itself
}


def occlusion_map(drops: Floats, size: tuple[int, ...]) -> Floats:
    """Return the mean of `drops` [5, 5] over the windows that cover each pixel, float32 [H, W], 0 to 1.

    Negative means are set to 0, and the largest value is scaled to 1.
    """
    total, covers = np.zeros(size, np.float32), np.zeros(size, np.float32)
    for window, drop in zip(windows(size), drops.ravel(), strict=True):
        total[window] += drop
        covers[window] += 1
    return normalised(np.maximum(total / np.maximum(covers, 1), 0)[None])[0]


def rank_agreement(heat: Floats, drops: Floats) -> float | None:
    """Return Spearman's rank correlation of `drops` [5, 5] and the mean of a Grad-CAM map [h, w] in each window.

    None if one of them is constant.
    """
    from scipy.stats import rankdata

    large = resized(heat, (96, 96))
    means = np.array([large[window].mean() for window in windows(large.shape)])
    heat_ranks, drop_ranks = rankdata(means.round(6)), rankdata(drops.ravel().round(6))
    if not (heat_ranks.std() and drop_ranks.std()):
        return None
    return float(np.corrcoef(heat_ranks, drop_ranks)[0, 1])
