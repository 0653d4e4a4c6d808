"""Low-rank adaptation (LoRA; Hu et al. 2022): frozen kernels W, each plus the product s·A·B of two trained factors.

Keras's `enable_lora` adds the factors to a layer, whose `kernel` is then W + s·A·B. It cannot be undone, so the factors
stay until the process ends; with B = 0 they change nothing. Whoever reads the weights of a classifier by name
(`tensor_names.py`) gets the sum in the place of W, and never the factors: checkpoints, exports and later runs are those
of a plain network.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from transfercli.errors import ConfigError
from transfercli.models.classifier import Classifier
from transfercli.models.trainable.freezing import trainable_from

FACTORS = ("lora_kernel_a", "lora_kernel_b")  # Keras's names of A and B
ATTENTION = ("query", "value")  # adapted in a network with attention, as in the paper
ADAPTABLE = (keras.layers.Dense, keras.layers.Conv2D)

Tensors = dict[str, np.ndarray]


def adaptable_layers(classifier: Classifier, unfreeze: int | str, kinds: Sequence[str] | None) -> list[str]:
    """Return the names of the base's layers that LoRA adapts, from the input to the top.

    unfreeze: lowest part of the base, as in `trainable_from`. kinds: ends of names, such as `query` for
    `block1_query`; None: query and value of each attention, or every convolution and dense layer of a base without
    attention. Raises `ConfigError` if a kind, or the base, has no such layer.
    """
    names = [
        name for name in trainable_from(classifier, unfreeze) if type(classifier.base.get_layer(name)) in ADAPTABLE
    ]
    if kinds is None:
        attention = [name for name in names if _ends_with(name, ATTENTION)]
        kinds, names = ("",), attention or names
    for kind in kinds:
        if not any(_ends_with(name, (kind,)) for name in names):
            ends = sorted({name.rpartition("_")[2] for name in names})
            raise ConfigError(
                f"lora.layers: {classifier.name} has no convolution or dense layer {kind!r}"
                f" from {unfreeze} upwards; received {list(kinds)}",
                f"use one or more of {', '.join(ends)}, or null for the usual ones"
                if ends
                else "choose another strategy, such as partial",
            )
    return [name for name in names if _ends_with(name, tuple(kinds))]


def _ends_with(name: str, kinds: Sequence[str]) -> bool:
    """Return True if a layer's name is one of `kinds`, or ends with one after an underscore; "" fits every name."""
    return any(not kind or name == kind or name.endswith(f"_{kind}") for kind in kinds)


def adapt(classifier: Classifier, names: Sequence[str], rank: int, alpha: float | None, seed: int) -> None:
    """Freeze the base, add factors to the kernels of its layers `names`, and let these factors train.

    Layers without weights (drop-path) work above the lowest of these as in a base that trains.

    rank: number of columns of A and rows of B. alpha: s is alpha / rank; None: s = 1. A starts from He's uniform
    initialisation, which depends only on the seed and the layer, B from 0: the first outputs are those of the base.
    """
    merge(classifier)
    layers = classifier.base.layers
    first = min(number for number, layer in enumerate(layers) if layer.name in names)
    for number, layer in enumerate(layers):
        layer.trainable = number >= first and not layer.weights
    for number, layer in _numbered(classifier):
        if layer.name not in names:
            continue
        initializer = keras.initializers.HeUniform(int(np.random.SeedSequence([seed, number]).generate_state(1)[0]))
        if layer.lora_enabled:
            layer.lora_kernel_a.assign(initializer(layer.lora_kernel_a.shape))
        else:
            layer.enable_lora(rank, lora_alpha=alpha, a_initializer=initializer)
        layer.trainable = True
        for variable in layer.weights:
            variable.trainable = variable.name in FACTORS


def merge(classifier: Classifier) -> None:
    """Replace each W by W + s·A·B, and B by 0; in a layer that trains, W and the bias then train, and no factor."""
    for _, layer in _numbered(classifier):
        if layer.lora_enabled:
            _frozen_kernel(layer).assign(layer.kernel)
            layer.lora_kernel_b.assign(keras.ops.zeros(layer.lora_kernel_b.shape))
            for variable in layer.weights:
                variable.trainable = layer.trainable and variable.name not in FACTORS


def without_factors(weights: Sequence[keras.Variable]) -> list[keras.Variable]:
    """Return the variables of a layer that are no factors."""
    return [variable for variable in weights if variable.name not in FACTORS]


def merged_kernels(classifier: Classifier) -> dict[int, Any]:
    """Return `id(W)` -> W + s·A·B for each kernel with factors, as a training step computes it, float32."""
    return {id(_frozen_kernel(layer)): layer.kernel for _, layer in _numbered(classifier) if layer.lora_enabled}


def reset_factors(classifier: Classifier) -> None:
    """Set every B to 0, after other kernels were assigned."""
    for _, layer in _numbered(classifier):
        if layer.lora_enabled:
            layer.lora_kernel_b.assign(keras.ops.zeros(layer.lora_kernel_b.shape))


def separate_tensors(classifier: Classifier) -> Tensors:
    """Return copies of W, A and B of each adapted layer: the state of a training that goes on to the same bits."""
    return {name: keras.ops.convert_to_numpy(variable).copy() for name, variable in _separate(classifier).items()}


def assign_separate_tensors(classifier: Classifier, tensors: Tensors) -> None:
    """Assign what `separate_tensors` returned to a classifier with the same adapted layers. Raises `KeyError`."""
    for name, variable in _separate(classifier).items():
        variable.assign(tensors[name])


def _separate(classifier: Classifier) -> dict[str, keras.Variable]:
    return {
        f"{number:05d}/{variable.name}": variable
        for number, layer in _numbered(classifier)
        if layer.lora_enabled
        for variable in (_frozen_kernel(layer), layer.lora_kernel_a, layer.lora_kernel_b)
    }


def _numbered(classifier: Classifier) -> list[tuple[int, Any]]:
    """Return the adaptable layers of the base, with their numbers among all of its layers."""
    return [(number, layer) for number, layer in enumerate(classifier.base.layers) if type(layer) in ADAPTABLE]


def _frozen_kernel(layer: Any) -> keras.Variable:
    """Return W of a layer; its attribute `kernel` is the sum."""
    return next(variable for variable in layer.weights if variable.name == "kernel")
