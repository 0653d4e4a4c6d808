"""Forward pass for evaluation, prediction and gates: the whole model, in float32."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import keras
import numpy as np

from transfercli.models.keras_internals import inner_layers
from transfercli.models.passes.batch_size import forward_batch_size
from transfercli.models.passes.compiled import compiled
from transfercli.models.passes.overlap import outputs_of
from transfercli.reporting import Reporter
from transfercli.rows import Rows


def forward(
    model: keras.Model, images: Rows, batch_size: int, reporter: Reporter, stage: str = "predict"
) -> np.ndarray:
    """Return the model's output for every image, float32 [N, …].

    The last batch is padded, so every step has the same shape: nothing is compiled twice, and an image's output is
    the same to the bit whatever the other images in its batch. An accelerator may get larger batches.
    """
    total, outputs, done = len(images), [], 0
    size = forward_batch_size(model, batch_size)
    for output in outputs_of(compiled(model), images, np.arange(total), size):
        outputs.append(output)
        done += len(output)
        reporter.progress(stage, done, total)
    return np.concatenate(outputs)


@contextmanager
def computing_in(precision: str, model: keras.Model) -> Iterator[None]:
    """Make layers compute in `precision` ("float32" or "bfloat16") inside the block; variables stay float32.

    A step function keeps the precision in which it was first traced, so always call it in the same one.
    """
    if precision == "float32":
        yield
        return
    layers = [layer for layer in [model, *inner_layers(model)] if not _ALWAYS_FLOAT32.fullmatch(layer.name)]
    before = [(layer, layer.dtype_policy) for layer in layers]
    try:
        for layer in layers:
            layer.dtype_policy = keras.dtype_policies.get(f"mixed_{precision}")
        yield
    finally:
        for layer, policy in before:
            layer.dtype_policy = policy


# 8 bits are too few for a mean.
_ALWAYS_FLOAT32 = re.compile(r"image|preprocess|((tap|other)\d+_)?pool(_token|_mean)?|logits|probabilities")
