"""Head of an average: a head for each network, and the logarithm of the mean of their probabilities.

The heads read what the networks have in common once: a layer's features are pooled once for all heads that pool them
alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

import keras
from keras import layers, ops

from transfercli.config.schema import HeadConfig
from transfercli.config.types import CLASSIFY, MULTILABEL, Task
from transfercli.models.classifier import logits_of
from transfercli.models.pooling import FEATURES, TAP, pool

OTHER = "other"  # input that is read by other networks' heads alone


@dataclass(frozen=True, eq=False)
class Source:
    """Features that heads read, an output of the trunk.

    tensor: a map [N, h, w, d] or tokens [N, T, d]. name: of the layer; with the number of the network unless it is in
    the base of the first. in_first: the first network's head reads it.
    """

    tensor: keras.KerasTensor
    pooling: str
    prefix_tokens: int
    name: str
    in_first: bool = False


def average_head(
    sources: Sequence[Source], heads: Sequence[tuple[HeadConfig, Sequence[int]]], classes: int, task: Task = CLASSIFY
) -> keras.Model:
    """Build the head: features of the sources -> logits [N, `classes`] of the mean probability.

    heads: of each network, with the indices of the sources that it reads. The last source is the first base's output.
    """
    inputs, vectors = [], []
    for number, source in enumerate(sources, start=1):
        last = number == len(sources)
        name = FEATURES if last else f"{TAP if source.in_first else OTHER}{number}"
        x = layers.Input(source.tensor.shape[1:], name=name)
        inputs.append(x)
        vectors.append(pool(x, source.pooling, source.prefix_tokens, "" if last else f"{name}_"))
    logits = [
        logits_of([vectors[index] for index in read], config, classes, member_prefix(number), task)
        for number, (config, read) in enumerate(heads, start=1)
    ]
    mean = label_logits_of_mean if task == MULTILABEL else logits_of_mean
    return keras.Model(inputs if len(inputs) > 1 else inputs[0], mean(logits), name="head")


def member_prefix(number: int) -> str:
    """Return what the names of a network's layers begin with; nothing for the first."""
    return f"member{number}_" if number > 1 else ""


def logits_of_mean(logits: Sequence[keras.KerasTensor]) -> keras.KerasTensor:
    """Return logits float32 [N, C] of the mean of the probabilities that logits [N, C], or [N, 1], stand for.

    They are the logarithm of the mean, minus the mean energy of the networks (minus the log-sum of exponentials of
    their logits). No probability depends on the second term, but the energy of the result then is that mean.
    """
    log_probabilities, energies = [], []
    for values in logits:
        if values.shape[-1] == 1:  # of a sigmoid: two classes, symmetric around 0
            values = layers.Concatenate(dtype="float32")([values * -0.5, values * 0.5])
        top = ops.max(values, axis=1, keepdims=True)
        total = top + ops.log(ops.sum(ops.exp(values - top), axis=1, keepdims=True))
        log_probabilities.append(values - total)
        energies.append(-total)
    largest = layers.Maximum(dtype="float32")(log_probabilities)
    mean = largest + ops.log(_sum(ops.exp(values - largest) for values in log_probabilities) / len(logits))
    # A difference: TensorFlow's graph optimiser reorders the sum of three terms wrongly if there are C images.
    return mean - _sum(energies) / len(logits)


def label_logits_of_mean(logits: Sequence[keras.KerasTensor]) -> keras.KerasTensor:
    """Return logits float32 [N, L] of the mean probability of each label, of logits [N, L] of several networks."""
    present, absent = (_log_of_sum([-ops.softplus(-sign * values) for values in logits]) for sign in (1, -1))
    return present - absent


def _log_of_sum(tensors: Sequence[keras.KerasTensor]) -> keras.KerasTensor:
    """Return the logarithm of the sum of the exponentials of tensors of one shape."""
    largest = layers.Maximum(dtype="float32")(tensors)
    return largest + ops.log(_sum(ops.exp(values - largest) for values in tensors))


def _sum(tensors: Iterable[keras.KerasTensor]) -> keras.KerasTensor:
    """Return the sum of tensors of one shape."""
    return reduce(add, tensors)
