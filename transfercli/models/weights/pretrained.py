"""Pretrained weights, from Keras or a file, as tensors by name for `transfer/transplant.py`."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

import keras

from transfercli.config.schema import FileWeights
from transfercli.errors import WeightsError
from transfercli.models.bases import BASES
from transfercli.models.classifier import build_base
from transfercli.models.keras_internals import inner_layers
from transfercli.models.tensor_names import stable_layer_names, weight_name
from transfercli.models.weights.files import SAFETENSORS, read_weight_file
from transfercli.models.weights.safetensors_reader import Tensors
from transfercli.reporting import Reporter


def imagenet_tensors(name: str, image_size: tuple[int, int]) -> Tensors:
    """Return the ImageNet weights of a base as `base/LAYER/WEIGHT`, through Keras's verified download and cache.

    Raises `WeightsError` if there are none; its message names the missing file and the folder to put it in.
    """
    if not BASES[name].has_imagenet:
        raise WeightsError(
            f"model.weights: imagenet, but Keras publishes no ImageNet weights for {name}",
            "set model.weights to none, to {run: RUN} for the base of an earlier run, or to {path: FILE, sha256: HEX}",
        )
    try:
        base = build_base(name, image_size, 3, "imagenet")
    except Exception as error:  # Keras raises a bare Exception if a download fails
        address = re.search(r"https?://[^\s:]+(?::\d+)?[^\s:]*", str(error))
        if address is None:
            raise
        file = Path(urlsplit(address.group()).path).name
        raise WeightsError(
            f"the ImageNet weights of {name} are neither in Keras's cache (looked for {_keras_cache(file)})"
            " nor can they be downloaded",
            f"download {address.group().rstrip('.,')} on a machine with a network and put it there (KERAS_HOME sets the"
            " folder); or start from {run: RUN} or {path: FILE}, or train small_cnn from random weights:"
            " config init --base small_cnn",
        ) from error
    return base_tensors(base)


def _keras_cache(file: str) -> str:
    """Return the path of a weight file in Keras's cache, with `~` for the home folder."""
    home = Path(keras.config.keras_home()) if hasattr(keras.config, "keras_home") else Path("~/.keras")
    return str(home / "models" / file).replace(str(Path.home()), "~")


def base_tensors(base: keras.Model) -> Tensors:
    """Return the weights of a base without its top, as `base/LAYER/WEIGHT`."""
    stable = stable_layer_names(base)
    return {
        weight_name("base", stable[layer.name], variable): keras.ops.convert_to_numpy(variable)
        for layer in base.layers
        for variable in layer.weights
    }


def file_tensors(config: FileWeights, base: keras.Model, reporter: Reporter) -> Tensors:
    """Return the tensors of a weight file under the names of `base`; raises as `read_weight_file` does."""
    kind, tensors = read_weight_file(config, reporter)
    return _with_base_prefix(tensors) if kind is SAFETENSORS else _by_layer(tensors, base)


def _with_base_prefix(tensors: Tensors) -> Tensors:
    """Add `base/` to names that start with neither `base/` nor `head/`."""
    return {name if name.startswith(("base/", "head/")) else f"base/{name}": value for name, value in tensors.items()}


def _by_layer(tensors: Tensors, base: keras.Model) -> Tensors:
    """Rename `LAYER/INDEX` of a Keras file to the names of `base`; unknown layers become `base/LAYER/INDEX`."""
    named: Tensors = {}
    used: set[str] = set()
    stable = stable_layer_names(base)
    for top in base.layers:
        for layer in (top, *inner_layers(top)):
            keys = [key for key in (layer.name, stable.get(layer.name)) if key and f"{key}/0" in tensors]
            if not keys or not layer.weights:
                continue
            for index, variable in enumerate(layer.weights):
                key = f"{keys[0]}/{index}"
                if key in tensors:
                    named[weight_name("base", stable[top.name], variable)] = tensors[key]
                    used.add(key)
            if layer is top:
                break
    named.update({f"base/{key}": value for key, value in tensors.items() if key not in used})
    return named
