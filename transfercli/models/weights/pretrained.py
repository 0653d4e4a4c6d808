"""Pretrained weights, from Keras or a file, as tensors by name for `transfer/transplant.py`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import partial
from itertools import chain
from pathlib import Path
from urllib.parse import urlsplit

import keras
import numpy as np

from transfercli.errors import WeightsError
from transfercli.models.bases import BASES
from transfercli.models.classifier import build_base
from transfercli.models.keras_internals import inner_layers, reported_downloads
from transfercli.models.normalization import with_corrected_variance
from transfercli.models.published_weights import keras_home
from transfercli.models.tensor_names import automatic_kind, stable_layer_names, weight_names
from transfercli.models.weights.file_kinds import LEGACY_HDF5, SAFETENSORS
from transfercli.models.weights.files import WeightSource, read_weight_file, recognise_names, title_of
from transfercli.models.weights.foreign.fit import check_base
from transfercli.models.weights.foreign.layouts import Target
from transfercli.models.weights.foreign.mapping import Mapped, map_tensors
from transfercli.models.weights.foreign.recognition import Recognised
from transfercli.models.weights.resnet_versions import check_resnet_version
from transfercli.models.weights.safetensors_reader import Tensors
from transfercli.models.weights.values import check_weights
from transfercli.reporting import Reporter


def imagenet_tensors(name: str, image_size: tuple[int, int], reporter: Reporter) -> Tensors:
    """Return the ImageNet weights of a base as `base/LAYER/WEIGHT`, through Keras's verified download and cache.

    Raises `WeightsError` if there are none, or if the file is damaged; its message names the file and its folder.
    """
    row = BASES[name]
    if row.published is None:
        raise WeightsError(
            f"model.weights: imagenet, but Keras publishes no ImageNet weights for {name}",
            "set model.weights to none, to {run: RUN} for the base of an earlier run, or to {path: FILE, sha256: HEX}",
        )
    size = image_size if row.any_size_imagenet else (row.size, row.size)
    try:
        with reported_downloads(partial(_report_download, reporter)):
            base = build_base(name, size, 3, "imagenet")
    except Exception as error:  # Keras raises a bare Exception if a download fails
        address = re.search(r"https?://[^\s:]+(?::\d+)?[^\s:]*", str(error))
        stored = row.published.path_for(size) if row.published else None
        if address is None and stored and isinstance(error, (ValueError, OSError)):
            raise WeightsError(
                f"the ImageNet weights of {name} in Keras's cache ({_keras_cache(stored.name)}) are damaged: {error}",
                "remove the file, so that it is downloaded again, or replace it",
            ) from error
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
    return with_corrected_variance(name, base_tensors(base), by_keras=True)


def _report_download(reporter: Reporter, address: str, received: int, size: int) -> None:
    file, megabyte = Path(urlsplit(address).path).name, 10**6
    if not received:
        reporter.info(f"downloading {file} from {urlsplit(address).netloc} to {_keras_cache(file)}")
    reporter.progress(f"downloading {file}", min(received, size or received) // megabyte, size // megabyte, "MB")


def _keras_cache(file: str) -> str:
    """Return the path of a weight file in Keras's cache, with `~` for the home folder."""
    return str(keras_home() / "models" / file).replace(str(Path.home()), "~")


def base_tensors(base: keras.Model) -> Tensors:
    """Return the weights of a base without its top, as `base/LAYER/WEIGHT`."""
    names = weight_names("base", base)
    return {
        names[id(variable)]: keras.ops.convert_to_numpy(variable) for layer in base.layers for variable in layer.weights
    }


def file_tensors(config: WeightSource, name: str, base: keras.Model, reporter: Reporter) -> Mapped:
    """Return the tensors of a weight file under the names of `base`, a network of the row `name` of `BASES`.

    Raises as `read_weight_file`, `foreign_tensors` and `check_resnet_version` do.
    """
    kind, tensors = read_weight_file(config, reporter)
    if kind is SAFETENSORS:
        recognised = recognise_names({key: value.shape for key, value in tensors.items()}, config)
        if recognised:
            return foreign_tensors(tensors, recognised, name, base)
        prefixed = _with_base_prefix(tensors)
        _check_weights(prefixed, base, config)
        check_resnet_version(prefixed, name)
        return Mapped(with_corrected_variance(name, prefixed, by_keras=False))
    named = (_in_order(tensors, base) if kind is LEGACY_HDF5 else None) or _by_layer(tensors, base)
    _check_weights(named, base, config)
    check_resnet_version(named, name)
    return Mapped(with_corrected_variance(name, named, by_keras=True))


def _check_weights(tensors: Tensors, base: keras.Model, config: WeightSource) -> None:
    names = set(weight_names("base", base).values())
    check_weights({key: value for key, value in tensors.items() if key in names}, title_of(config))


def foreign_tensors(tensors: Tensors, recognised: Recognised, name: str, base: keras.Model) -> Mapped:
    """Return the weights of `base` from a file with the names of another library.

    Raises `ConfigError` if the file was written for another base, `ArtefactError` if it is of no base or not whole.
    """
    check_base(recognised, name)
    names = weight_names("base", base)
    grid = BASES[name].grid(tuple(base.input.shape[1:3]))
    weights = {
        names[id(variable)]: Target(tuple(variable.shape), grid) for layer in base.layers for variable in layer.weights
    }
    return map_tensors(tensors, recognised, name, weights)


def _with_base_prefix(tensors: Tensors) -> Tensors:
    """Add `base/` to names that start with neither `base/` nor `head/`."""
    return {name if name.startswith(("base/", "head/")) else f"base/{name}": value for name, value in tensors.items()}


def _in_order(tensors: Tensors, base: keras.Model) -> Tensors | None:
    """Rename `LAYER/INDEX` of a Keras file by the order of its layers; None unless all layers and shapes fit."""
    names = weight_names("base", base)
    stored: dict[str, list[np.ndarray]] = {}
    for key, value in tensors.items():
        stored.setdefault(key.rpartition("/")[0], []).append(value)
    weights = [layer.weights for layer in base.layers if layer.weights]
    if [[value.shape for value in values] for values in stored.values()] != [
        [tuple(variable.shape) for variable in variables] for variables in weights
    ]:
        return None
    pairs = zip(chain(*weights), chain(*stored.values()), strict=True)
    return {names[id(variable)]: value for variable, value in pairs}


def _by_layer(tensors: Tensors, base: keras.Model) -> Tensors:
    """Rename `LAYER/INDEX` of a Keras file to the names of `base`; unknown layers become `base/LAYER/INDEX`."""
    named: Tensors = {}
    used: set[str] = set()
    names, in_file = weight_names("base", base), _names_in_file(tensors, base)
    for top in base.layers:
        for layer in (top, *inner_layers(top)):
            stored = in_file.get(layer.name)
            if stored is None:
                continue
            for index, variable in enumerate(layer.weights):
                key = f"{stored}/{index}"
                if key in tensors:
                    named[names[id(variable)]] = tensors[key]
                    used.add(key)
            if layer is top:
                break
    named.update({f"base/{key}": value for key, value in tensors.items() if key not in used})
    return named


def _names_in_file(tensors: Tensors, base: keras.Model) -> dict[str, str]:
    """Return layer name in `base` -> name in a Keras file, for the layers with weights that the file has.

    Layers that Keras named itself (`conv2d_98`) have the numbers of the process that built them. If the file has as
    many of a kind as the base, they are matched by the order of these numbers.
    """
    layers = [layer for layer in inner_layers(base) if layer.weights]
    stored = {key.rpartition("/")[0] for key in tensors if key.endswith("/0")}
    stable = stable_layer_names(base)
    names = {
        layer.name: key
        for layer in layers
        for key in (stable.get(layer.name), layer.name)  # the layer's own name last: it is preferred
        if key in stored
    }
    for kind in {kind for layer in layers if (kind := automatic_kind(layer))}:
        own = _numbered([layer.name for layer in layers if automatic_kind(layer) == kind], kind)
        others = _numbered(stored, kind)
        if len(own) == len(others):
            names |= dict(zip(own, others, strict=True))
    return names


def _numbered(names: Iterable[str], kind: str) -> list[str]:
    """Return the names `kind`, `kind_1`, `kind_2` … among `names`, in the order of their numbers."""
    matches = [match for name in names if (match := re.fullmatch(rf"{re.escape(kind)}(?:_(\d+))?", name))]
    return [match[0] for match in sorted(matches, key=lambda match: int(match[1] or 0))]
