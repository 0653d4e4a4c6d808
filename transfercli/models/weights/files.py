"""Weight files from untrusted sources: recognised by their first bytes, and read as plain tensors only.

This module does not import Keras, so a file that cannot be used is refused before the images are read.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import safetensors

from transfercli.config.paths import absolute_path
from transfercli.config.schema import FileWeights, HubWeights
from transfercli.errors import ArtefactError, ConfigError, OutOfSpaceError, WeightsError
from transfercli.io.checksum import file_sha256
from transfercli.io.session import file_state, once
from transfercli.io.subprocesses import ProcessResult, run_python
from transfercli.models.weights.file_kinds import (
    HDF5,
    LEGACY_HDF5,
    READ_BY_SUFFIX,
    SAFETENSORS,
    SAVE_AGAIN,
    FileKind,
    kind_of,
)
from transfercli.models.weights.foreign.fit import check_base, looks_like_pytorch, recognised_names
from transfercli.models.weights.foreign.recognition import Recognised
from transfercli.models.weights.h5_reader import ORDER
from transfercli.models.weights.hub import fetched
from transfercli.models.weights.safetensors_reader import Tensors, each_tensor, read_header, read_safetensors
from transfercli.models.weights.values import check_values, in_float32
from transfercli.reporting import Reporter
from transfercli.text import clipped

CHILD_SECONDS = 600
HUB_FILE = "model.safetensors"  # in repositories of the Hugging Face Hub, and as save_pretrained writes it
WeightSource = FileWeights | HubWeights


def check_weight_file(config: WeightSource, reporter: Reporter, base: str | None = None) -> None:
    """Raise what `read_weight_file` would raise, without keeping the tensors; called before the images are read.

    base: name of the base that the weights are for, or None; raises `ConfigError` if they are of another base.
    """
    path = weight_path(config, reporter)
    recognised = check_header(path, config, base)
    if kind_of(path, title_of(config)) is HDF5:
        once("checked weight file", file_state(path), partial(_convert_in_child, path, None, reporter))
        return
    check_values(_used(each_tensor(path), recognised), title_of(config))


def check_header(path: Path, config: WeightSource, base: str | None = None) -> Recognised | None:
    """Return what the header of a weight file shows, as `recognised_file`; no tensor is read.

    Raises as `check_weight_file`, but for damaged or non-finite tensors.
    """
    if kind_of(path, title_of(config)) is SAFETENSORS:
        recognised = recognised_file(path, config)
        if recognised and base:
            check_base(recognised, base)
        return recognised
    if config.format == "pytorch":
        raise ConfigError(
            f"model.weights.format: pytorch, but {path.name} is {HDF5.name}, which Keras writes", "set it to auto"
        )
    return None


def read_weight_file(config: WeightSource, reporter: Reporter) -> tuple[FileKind, Tensors]:
    """Return the format of a weight file and its tensors, by their names in the file.

    The format is `SAFETENSORS`, `HDF5`, or `LEGACY_HDF5` with the tensors in the order of the file. Floating-point
    numbers of safetensors come as float32.

    Raises `WeightsError` if the file is missing, `ArtefactError` if its hash differs, it contains anything but plain
    tensors or a weight is an integer or not finite, `OutOfSpaceError` if these do not fit into memory.
    """
    path = weight_path(config, reporter)
    if config.sha256 is None:
        reporter.info(
            f"weights {name_of(config, path)} have sha256 {weights_sha256(path)}; set model.weights.sha256 to refuse"
            " any other file"
        )
    key = file_state(path), config.model_dump_json()
    return once("weight file", key, partial(_read, path, config, reporter))


def _read(path: Path, config: WeightSource, reporter: Reporter) -> tuple[FileKind, Tensors]:
    if kind_of(path, title_of(config)) is SAFETENSORS:
        tensors = {name: in_float32(value) for name, value in each_tensor(path)}
        recognised = recognise_names({name: value.shape for name, value in tensors.items()}, config)
        check_values(_used(tensors.items(), recognised), title_of(config))
        return SAFETENSORS, tensors
    with tempfile.TemporaryDirectory(prefix="transfercli-weights-") as scratch:
        output = Path(scratch, "tensors.safetensors")
        _convert_in_child(path, output, reporter)
        tensors = read_safetensors(output)
        check_values(_used(tensors.items(), None), title_of(config))
        with safetensors.safe_open(output, "numpy") as file:
            order = (file.metadata() or {}).get(ORDER)
        return (LEGACY_HDF5, {name: tensors[name] for name in json.loads(order)}) if order else (HDF5, tensors)


def weights_sha256(path: Path) -> str:
    """Return the SHA-256 of a weight file, which is read once in a session as long as it does not change."""
    return once("hash of a weight file", file_state(path), partial(file_sha256, path))


def title_of(config: WeightSource) -> str:
    """Return the name of a weight file for messages, with the key of the config that names it."""
    if isinstance(config, HubWeights):
        return f"model.weights.hub: {config.hub}/{config.file}"
    return f"model.weights.path: {Path(config.path).name}"


def name_of(config: WeightSource, path: Path) -> str:
    """Return the name of a weight file for people: of a repository's file with the commit, which a config can pin."""
    if not isinstance(config, HubWeights):
        return path.name
    commit = path.parents[config.file.count("/")].name
    return f"{config.hub}/{config.file} of commit {commit}"


def weight_path(config: WeightSource, reporter: Reporter) -> Path:
    """Return the path of a weight file, once its format and its SHA-256 are checked; raises as `read_weight_file`.

    A file of a repository is downloaded if the local cache lacks it.
    """
    path = fetched(config, reporter).path if isinstance(config, HubWeights) else _local_path(config)
    try:
        kind_of(path, title_of(config))
        digest = weights_sha256(path) if config.sha256 else ""
    except OSError as error:
        raise WeightsError(f"{title_of(config)} cannot be read: {error.strerror}") from error
    if config.sha256 and config.sha256.lower() != digest:
        raise ArtefactError(
            f"model.weights.sha256: {path.name} has {digest}, the config wants {config.sha256.lower()}",
            "fetch the file again, or correct the hash if the file was changed on purpose",
        )
    return path


def _local_path(config: FileWeights) -> Path:
    path = absolute_path(config.path)
    if path.is_dir():
        kind = (
            "a SavedModel, whose graph can read and write files" if (path / "saved_model.pb").exists() else "a folder"
        )
        inside = _weights_inside(path)
        hint = f"name the file inside: {Path(config.path, inside)}" if inside else SAVE_AGAIN
        raise ArtefactError(f"model.weights.path: {config.path!r} is {kind}, not a file of weights", hint)
    if not path.is_file():
        raise WeightsError(
            f"model.weights.path: there is no file {config.path!r} (looked for {path})",
            "put the file there or correct the path",
        )
    return path


def _weights_inside(folder: Path) -> str | None:
    """Return the name of a folder's weight file; None if it has none or several, none of which is the usual one."""
    names = sorted(file.name for file in folder.iterdir() if file.suffix.lower() in READ_BY_SUFFIX)
    if HUB_FILE in names:
        return HUB_FILE
    return names[0] if len(names) == 1 else None


def recognised_file(path: Path, config: WeightSource) -> Recognised | None:
    """Return what a safetensors file's header shows; None if its names are not those of another library."""
    return recognise_names({name: entry.shape for name, entry in read_header(path).items()}, config)


def recognise_names(shapes: Mapping[str, tuple[int, ...]], config: WeightSource) -> Recognised | None:
    """Return what names and shapes show; None if they are those of this program or of Keras.

    Raises `ArtefactError` if they are names of PyTorch that no scheme has, `ConfigError` if `format` contradicts them.
    """
    if config.format != "keras":
        return recognised_names(shapes, title_of(config), config.format == "pytorch")
    if looks_like_pytorch(shapes):
        raise ConfigError(
            f"model.weights.format: keras, but {title_of(config).partition(': ')[2]} has names of PyTorch, such as"
            f" {clipped(min(shapes))}",
            "set it to auto or pytorch",
        )
    return None


def _used(tensors: Iterable[tuple[str, np.ndarray]], recognised: Recognised | None) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the tensors that weights are made of. Integers under other names are left to the weights' own check."""
    for name, value in tensors:
        if recognised.uses(name) if recognised else value.dtype.kind not in "iub":
            yield name, value


def _convert_in_child(path: Path, output: Path | None, reporter: Reporter) -> None:
    """Run `h5_reader`: write the tensors of `path` to `output` as safetensors, or only check them if it is None."""
    arguments: list[str | Path] = ["-m", "transfercli.models.weights.h5_reader", path.absolute()]
    arguments += [output] if output else []
    tick = partial(reporter.progress, "weights", 0, 1, "files")
    with tempfile.TemporaryDirectory(prefix="transfercli-reader-") as scratch:
        try:
            ended = run_python(arguments, Path(scratch), timeout=CHILD_SECONDS, tick=tick)
        except TimeoutError:
            raise ArtefactError(
                f"model.weights.path: {path.name} could not be read within {CHILD_SECONDS} s",
                "fetch or write the file again",
            ) from None
    _check_ended(path, ended)


def _check_ended(path: Path, ended: ProcessResult) -> None:
    """Raise `OutOfSpaceError` if the reader had too little memory or disk, `ArtefactError` if it refused the file."""
    if ended.ran_out_of_space:
        raise OutOfSpaceError(
            f"model.weights.path: there was not enough memory or disk to read {path.name}",
            "free some and start the same command again; nothing was changed",
        )
    if ended.returncode:
        raise ArtefactError(
            f"model.weights.path: {path.name} was refused: {ended.last_line or 'its reader crashed'}",
            "use a file that Keras wrote with model.save_weights: plain tensors, without links or compression",
        )
