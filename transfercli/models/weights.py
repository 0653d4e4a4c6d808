"""Find and verify pretrained weights; what comes back is tensors by name, ready for `transfer/transplant.py`."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

import keras
import numpy as np
import safetensors
import safetensors.numpy

from transfercli.config.schema import FileWeights
from transfercli.errors import ArtefactError, WeightsError
from transfercli.events import Events
from transfercli.models.bases import BASES
from transfercli.models.classifier import build_base
from transfercli.models.h5_reader import MAX_BYTES
from transfercli.models.internals import inner_layers
from transfercli.models.tensors import stable_layer_names, weight_name

Tensors = dict[str, np.ndarray]
_CHILD_SECONDS = 600


def imagenet_tensors(name: str, image_size: tuple[int, int]) -> Tensors:
    """ImageNet weights of a base through Keras's own verified download and cache, as `base/LAYER/WEIGHT`.

    Raises `WeightsError` that says which file was looked for and where to put it.
    """
    if not BASES[name].has_imagenet:
        raise WeightsError(
            f"model.weights: imagenet, but Keras publishes no ImageNet weights for {name}",
            "set model.weights to none, to {run: RUN} for the base of an earlier run, or to {path: FILE, sha256: HEX}",
        )
    try:
        base = build_base(name, image_size, 3, "imagenet")
    except Exception as error:  # Keras raises a bare Exception where a download fails
        address = re.search(r"https?://[^\s:]+(?::\d+)?[^\s:]*", str(error))
        if address is None:
            raise
        file = Path(urlsplit(address.group()).path).name
        raise WeightsError(
            f"the ImageNet weights of {name} are neither in Keras's cache (looked for {_keras_cache(file)})"
            " nor can they be downloaded",
            f"on a machine with a network fetch {file} from Keras's releases and put it there (KERAS_HOME moves the"
            " folder), or set model.weights to none, {run: RUN} or {path: FILE}",
        ) from error
    return base_tensors(base)


def _keras_cache(file: str) -> str:
    home = Path(keras.config.keras_home()) if hasattr(keras.config, "keras_home") else Path("~/.keras")
    return str(home / "models" / file).replace(str(Path.home()), "~")


def base_tensors(base: keras.Model) -> Tensors:
    """The weights of a base without its top, as `base/LAYER/WEIGHT`."""
    stable = stable_layer_names(base)
    return {
        weight_name("base", stable[layer.name], variable): keras.ops.convert_to_numpy(variable)
        for layer in base.layers
        for variable in layer.weights
    }


def file_tensors(config: FileWeights, folder: Path, base: keras.Model, events: Events) -> Tensors:
    """Tensors of a weight file, named as the layers of `base` want them.

    `.safetensors` is parsed here, HDF5 (`.h5`) in a child process. Raises `WeightsError` where the file is missing,
    `ArtefactError` where its hash differs or it holds no plain tensors.
    """
    path = folder / Path(config.path).expanduser()
    if not path.is_file():
        raise WeightsError(
            f"model.weights.path: there is no file {config.path!r} (looked for {path})",
            "put the file there or correct the path, which is relative to the config file",
        )
    digest = file_sha256(path)
    if config.sha256 is None:
        events.info(f"weights {path.name} have sha256 {digest}; write it into model.weights to hold them to it")
    elif config.sha256.lower() != digest:
        raise ArtefactError(
            f"model.weights.sha256: {path.name} has {digest}, the config wants {config.sha256.lower()}",
            "fetch the file again, or correct the hash if the file was changed on purpose",
        )
    if path.suffix == ".safetensors":
        return _with_part(_read_safetensors(path))
    if path.suffix in (".h5", ".hdf5"):
        return _by_layer(_read_h5(path), base)
    raise ArtefactError(
        f"model.weights.path: {path.name} is not a weight file that can be read safely",
        "allowed are .safetensors, .weights.h5 and _notop.h5",
    )


def file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_safetensors(path: Path) -> Tensors:
    if path.stat().st_size > MAX_BYTES:
        raise ArtefactError(f"{path.name} is larger than {MAX_BYTES // 2**30} GiB")
    try:
        return safetensors.numpy.load_file(path)
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError) as error:
        raise ArtefactError(f"{path.name} is not a whole safetensors file: {error}") from error


def _read_h5(path: Path) -> Tensors:
    with tempfile.TemporaryDirectory(prefix="transfercli-") as folder:
        out = Path(folder) / "tensors.safetensors"
        command = [sys.executable, "-m", "transfercli.models.h5_reader", str(path.absolute()), str(out)]
        try:
            child = subprocess.run(command, capture_output=True, timeout=_CHILD_SECONDS, stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            raise ArtefactError(f"{path.name} could not be read within {_CHILD_SECONDS} s") from None
        if child.returncode != 0 or not out.exists():
            lines = child.stderr.decode("utf-8", "replace").strip().splitlines()
            raise ArtefactError(f"{path.name} was refused: {lines[-1] if lines else 'its reader died'}")
        return _read_safetensors(out)


def _with_part(tensors: Tensors) -> Tensors:
    """Names without `base/` or `head/` are taken as those of a base."""
    return {name if name.startswith(("base/", "head/")) else f"base/{name}": value for name, value in tensors.items()}


def _by_layer(tensors: Tensors, base: keras.Model) -> Tensors:
    """From `LAYER/INDEX` in a Keras file to this base's names; layers the base does not have keep their own."""
    found: Tensors = {}
    taken: set[str] = set()
    stable = stable_layer_names(base)
    for top in base.layers:
        for layer in (top, *inner_layers(top)):
            keys = [key for key in (layer.name, stable.get(layer.name)) if key and f"{key}/0" in tensors]
            if not keys or not layer.weights:
                continue
            for index, variable in enumerate(layer.weights):
                key = f"{keys[0]}/{index}"
                if key in tensors:
                    found[weight_name("base", stable[top.name], variable)] = tensors[key]
                    taken.add(key)
            if layer is top:
                break
    found.update({f"base/{key}": value for key, value in tensors.items() if key not in taken})
    return found
