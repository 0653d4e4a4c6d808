"""Cut of a classifier for Grad-CAM: at its last feature map with spatial detail, and the gradient there.

The part below the map runs once, and only the part above it is differentiated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import layers, ops

from transfercli.models.classifier import Classifier
from transfercli.models.explanations.gradients import Floats, score_gradients
from transfercli.models.keras_internals import producer_of
from transfercli.models.surgery import Above, CutPoint, cut_points, prefix_to

POOLED = (layers.MaxPooling2D, layers.AveragePooling2D)
# Height and width below which a map is too coarse for a heat map; the top of a network reduces small images to 1 x 1.
MIN_MAP_SIZE = 4


@dataclass(frozen=True)
class GradCamCut:
    """Classifier cut in two at a feature map of its base.

    layer: name of the layer whose output the map is; below: pixels [N, H, W, 3] -> map [N, h, w, d], and the pooled
    vectors of the layers below the map that the head reads too; above: these -> logits [N, C], or [N, 1] of a sigmoid
    head.
    """

    layer: str
    below: keras.Model
    above: keras.Model

    def with_gradient(self, images: npt.NDArray[np.uint8], classes: npt.NDArray[np.integer]) -> tuple[Floats, Floats]:
        """Return the maps of images [N, H, W, 3] and the gradients of class scores by them, both float32 [N, h, w, d].

        classes: as in `score_gradients`.
        """
        outputs = self.below(images, training=False)
        maps, *vectors = outputs if isinstance(outputs, list) else [outputs]
        inputs: Callable[[Any], Any] = (lambda x: [x, *vectors]) if vectors else (lambda x: x)
        gradients = score_gradients(lambda x: self.above(inputs(x), training=False), maps, classes)
        return ops.convert_to_numpy(maps), gradients


def cut_for_grad_cam(classifier: Classifier) -> GradCamCut:
    """Cut at the last feature map that is not the output of pooling and is at least 4 x 4.

    If no map is that large (very small images), cut at the largest one.
    """
    base, head = classifier.base, classifier.head
    maps = list(_maps(base))
    name, tensor = next((named for named in maps if _side(named) >= MIN_MAP_SIZE), None) or max(maps, key=_side)
    if tensor is base.output and not classifier.taps:
        return GradCamCut(name, prefix_to(classifier, tensor), head)
    index = [operation.name for operation in base.operations].index(producer_of(tensor).name)
    part = Above(classifier, CutPoint(index, name, (tensor,)))
    features = keras.Input(tensor.shape[1:], name="map")
    vectors = [keras.Input(vector.shape[1:], name=f"vector{n}") for n, vector in enumerate(part.vectors, start=1)]
    logits = part.top(part.inputs_of_top([features], vectors))
    above = keras.Model([features, *vectors] if vectors else features, logits, name="above")
    return GradCamCut(name, prefix_to(classifier, [tensor, *part.vectors] if vectors else tensor), above)


def _maps(base: keras.Model) -> Iterator[tuple[str, keras.KerasTensor]]:
    """Yield (layer, map) from the top down: maps at which the base can be cut, without outputs of pooling."""
    for tensor in (base.output, *(point.tensors[0] for point in reversed(cut_points(base)))):
        operation = producer_of(tensor)
        if len(tensor.shape) == 4 and not isinstance(operation, POOLED):
            yield operation.name, tensor


def _side(named: tuple[str, keras.KerasTensor]) -> int:
    """Return the smaller of a map's height and width."""
    _, tensor = named
    return min(tensor.shape[1:3])
