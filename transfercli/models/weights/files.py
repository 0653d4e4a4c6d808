"""Weight files from untrusted sources: recognised by their first bytes, and read as plain tensors only.

This module does not import Keras, so a file that cannot be used is refused before the images are read.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import safetensors

from transfercli.config.paths import absolute_path
from transfercli.config.schema import FileWeights
from transfercli.errors import ArtefactError, OutOfSpaceError, WeightsError
from transfercli.io.checksum import file_sha256
from transfercli.io.subprocesses import ProcessResult, run_python
from transfercli.models.weights.h5_reader import ORDER
from transfercli.models.weights.safetensors_reader import Tensors, check_safetensors, read_safetensors
from transfercli.reporting import Reporter

CHILD_SECONDS = 600
HEAD_BYTES = 512


@dataclass(frozen=True, slots=True)
class FileKind:
    """File format. matches: returns True if the first bytes of a file are those of this format."""

    name: str
    matches: Callable[[bytes], bool]


HDF5 = FileKind("an HDF5 file", lambda head: head.startswith(b"\x89HDF\r\n\x1a\n"))
# Keras reads the layers of such a file by their order: the names in the published files are of older versions.
LEGACY_HDF5 = FileKind("an HDF5 file with a list of its layers (_notop.h5)", HDF5.matches)
SAFETENSORS = FileKind("a safetensors file", lambda head: head[8:9] == b"{")
# Formats that may contain code, or files to be written anywhere: the error names the format; the file is not read.
REFUSED = (
    FileKind("a zip archive (.keras, .npz and .pt files are ones)", lambda head: head.startswith(b"PK")),
    FileKind("a pickle, which runs code when it is loaded", lambda head: head[:1] == b"\x80" and head[1:2] <= b"\x05"),
    FileKind("a NumPy file", lambda head: head.startswith(b"\x93NUMPY")),
    FileKind(
        "a compressed file", lambda head: head.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd"))
    ),
    FileKind("a tar archive", lambda head: head[257:262] == b"ustar"),
    FileKind("a program or script", lambda head: head.startswith((b"\x7fELF", b"MZ", b"#!"))),
)
KINDS = (HDF5, *REFUSED, SAFETENSORS)
READ_BY_SUFFIX = {".safetensors": SAFETENSORS, ".h5": HDF5, ".hdf5": HDF5}
SAVE_AGAIN = (
    "if you trust it, load it and save only its weights: model.save_weights('NAME.weights.h5') in Keras, or"
    " safetensors; whole models, archives and pickles are never loaded"
)


def check_weight_file(config: FileWeights, reporter: Reporter) -> None:
    """Raise what `read_weight_file` would raise, without keeping the tensors; called before the images are read."""
    path = verified_weight_file(config)
    if _kind(path) is HDF5:
        _convert_in_child(path, None, reporter)
    else:
        check_safetensors(path)


def read_weight_file(config: FileWeights, reporter: Reporter) -> tuple[FileKind, Tensors]:
    """Return the format of a weight file and its tensors, by their names in the file.

    The format is `SAFETENSORS`, `HDF5`, or `LEGACY_HDF5` with the tensors in the order of the file.

    Raises `WeightsError` if the file is missing, `ArtefactError` if its hash differs or it contains anything but plain
    tensors, `OutOfSpaceError` if these do not fit into memory.
    """
    path = verified_weight_file(config)
    if config.sha256 is None:
        digest = file_sha256(path)
        reporter.info(f"weights {path.name} have sha256 {digest}; set model.weights.sha256 to refuse any other file")
    if _kind(path) is SAFETENSORS:
        return SAFETENSORS, read_safetensors(path)
    with tempfile.TemporaryDirectory(prefix="transfercli-weights-") as scratch:
        output = Path(scratch, "tensors.safetensors")
        _convert_in_child(path, output, reporter)
        tensors = read_safetensors(output)
        with safetensors.safe_open(output, "numpy") as file:
            order = (file.metadata() or {}).get(ORDER)
        return (LEGACY_HDF5, {name: tensors[name] for name in json.loads(order)}) if order else (HDF5, tensors)


def verified_weight_file(config: FileWeights) -> Path:
    """Return the path of a weight file, once its format and its SHA-256 are checked; raises as `read_weight_file`."""
    path = absolute_path(config.path)
    if path.is_dir():
        kind = (
            "a SavedModel, whose graph can read and write files" if (path / "saved_model.pb").exists() else "a folder"
        )
        raise ArtefactError(f"model.weights.path: {config.path!r} is {kind}, not a file of weights", SAVE_AGAIN)
    if not path.is_file():
        raise WeightsError(
            f"model.weights.path: there is no file {config.path!r} (looked for {path})",
            "put the file there or correct the path, which is relative to the config file",
        )
    try:
        _kind(path)
        digest = file_sha256(path) if config.sha256 else ""
    except OSError as error:
        raise WeightsError(f"model.weights.path: {config.path!r} cannot be read: {error.strerror}") from error
    if config.sha256 and config.sha256.lower() != digest:
        raise ArtefactError(
            f"model.weights.sha256: {path.name} has {digest}, the config wants {config.sha256.lower()}",
            "fetch the file again, or correct the hash if the file was changed on purpose",
        )
    return path


def _kind(path: Path) -> FileKind:
    """Return HDF5 or SAFETENSORS. Raises `ArtefactError` unless the file's suffix and first bytes agree on one."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    by_suffix = READ_BY_SUFFIX.get(path.suffix.lower())
    by_content = next((kind for kind in KINDS if kind.matches(head)), None)
    if by_suffix is not None and by_suffix is by_content:
        return by_suffix
    problem = f"is {by_content.name}" if by_content else "is neither a safetensors nor an HDF5 file"
    if by_suffix and by_content in (HDF5, SAFETENSORS):
        problem += f", but its suffix is that of {by_suffix.name}"
    raise ArtefactError(
        f"model.weights.path: {path.name} {problem}; allowed are .safetensors, .weights.h5 and _notop.h5",
        SAVE_AGAIN,
    )


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
