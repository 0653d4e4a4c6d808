"""The last map that still knows where things are, and how a class's score depends on it: what Grad-CAM needs.

The classifier is cut at that map, so that only what lies above it is differentiated, and it is run once.
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
from transfercli.models.keras_internals import giver
from transfercli.models.surgery import prefix_to, single_tensor_places

Floats = npt.NDArray[np.float32]

POOLED = (layers.MaxPooling2D, layers.AveragePooling2D)
# A map of fewer places a side says too little of where; small images are nothing but one place in the top of a net.
LEAST_SIDE = 4


@dataclass(frozen=True)
class LastMap:
    """A classifier in two at its last useful map.

    place: name of the base's layer that gives the map; below: pixels [N, H, W, 3] -> map [N, h, w, d];
    above: that map -> logits [N, C], or [N, 1] of a sigmoid head.
    """

    place: str
    below: keras.Model
    above: keras.Model

    def with_gradient(self, images: npt.NDArray[np.uint8], classes: npt.NDArray[np.integer]) -> tuple[Floats, Floats]:
        """The maps of images [N, H, W, 3], and the gradients of the scores of `classes` [N] by them: both [N, h, w, d].

        The score of a class is its logit, before the softmax; of a sigmoid's two classes, minus and plus the one logit.
        """
        maps = self.below(images, training=False)
        gradient = GRADIENTS[keras.backend.backend()](lambda x: _scores(self.above(x, training=False), classes), maps)
        return ops.convert_to_numpy(maps), ops.convert_to_numpy(gradient)


def last_map(classifier: Classifier) -> LastMap:
    """Cut where the last convolutional map is that no pooling has gone over, 4 places a side or more.

    On images so small that the upper maps are smaller, it is the last one that is large enough; the largest there is,
    where none is.
    """
    base, head = classifier.base, classifier.head
    found = list(_maps(base))
    name, tensor = next((one for one in found if _side(one) >= LEAST_SIDE), None) or max(found, key=_side)
    if tensor is base.output:
        return LastMap(name, prefix_to(classifier, tensor), head)
    features = keras.Input(tensor.shape[1:], name="map")
    above = keras.Model(features, head(keras.Model(tensor, base.output, name="body")(features)), name="above")
    return LastMap(name, prefix_to(classifier, tensor), above)


def _maps(base: keras.Model) -> Iterator[tuple[str, keras.KerasTensor]]:
    """The maps that everything above is computed from, from the top down, without those that pooling gives."""
    for tensor in (base.output, *(place.tensor for place in reversed(single_tensor_places(base)))):
        operation = giver(tensor)
        if len(tensor.shape) == 4 and not isinstance(operation, POOLED):
            yield operation.name, tensor


def _side(found: tuple[str, keras.KerasTensor]) -> int:
    return min(found[1].shape[1:3])


def _scores(logits: Any, classes: npt.NDArray[np.integer]) -> Any:
    """[N]: the score of each image's class."""
    if logits.shape[-1] == 1:
        return logits[:, 0] * ops.convert_to_tensor(2 * classes - 1, logits.dtype)
    return ops.sum(logits * ops.one_hot(classes, logits.shape[-1], dtype=logits.dtype), axis=-1)


# -- Keras has no gradients of its own: each backend's


def _tensorflow(scores: Callable[[Any], Any], x: Any) -> Any:
    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch(x)
        total = tf.reduce_sum(scores(x))
    return tape.gradient(total, x)


def _jax(scores: Callable[[Any], Any], x: Any) -> Any:
    import jax

    return jax.grad(lambda value: scores(value).sum())(x)


GRADIENTS: dict[str, Callable[[Callable[[Any], Any], Any], Any]] = {"tensorflow": _tensorflow, "jax": _jax}
