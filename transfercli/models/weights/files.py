"""Weight files from anywhere: what is in them is found out from their bytes, and only plain tensors are taken.

Nothing here needs Keras, so a file that will be refused is refused before the data is read.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from transfercli.config.paths import absolute_path
from transfercli.config.schema import FileWeights
from transfercli.errors import ArtefactError, RoomError, WeightsError
from transfercli.io.checksum import file_sha256
from transfercli.io.subprocesses import Ended, run_python
from transfercli.models.weights.safetensors_reader import Tensors, check_safetensors, read_safetensors
from transfercli.reporting import Reporter

CHILD_SECONDS = 600
HEAD_BYTES = 512


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of file. starts: whether the first bytes of a file are those of this kind."""

    name: str
    starts: Callable[[bytes], bool]


HDF5 = Kind("an HDF5 file", lambda head: head.startswith(b"\x89HDF\r\n\x1a\n"))
SAFETENSORS = Kind("a safetensors file", lambda head: head[8:9] == b"{")
# What may hold code, or files that go where they like. Such a file is told by its name, and no more of it is read.
REFUSED = (
    Kind("a zip archive (.keras, .npz and .pt files are ones)", lambda head: head.startswith(b"PK")),
    Kind("a pickle, which runs code when it is loaded", lambda head: head[:1] == b"\x80" and head[1:2] <= b"\x05"),
    Kind("a NumPy file", lambda head: head.startswith(b"\x93NUMPY")),
    Kind("a compressed file", lambda head: head.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd"))),
    Kind("a tar archive", lambda head: head[257:262] == b"ustar"),
    Kind("a program or script", lambda head: head.startswith((b"\x7fELF", b"MZ", b"#!"))),
)
KINDS = (HDF5, *REFUSED, SAFETENSORS)
READ_BY_SUFFIX = {".safetensors": SAFETENSORS, ".h5": HDF5, ".hdf5": HDF5}
SAVE_AGAIN = (
    "where you trust it, load it and save its weights alone: model.save_weights('NAME.weights.h5') in Keras, or"
    " safetensors; whole models, archives and pickles are never loaded"
)


def check_weight_file(config: FileWeights, reporter: Reporter) -> None:
    """Raise what `read_weight_file` would raise, without its tensors: known before the images are read."""
    path = verified(config)
    if _kind(path) is HDF5:
        _read_by_child(path, None, reporter)
    else:
        check_safetensors(path)


def read_weight_file(config: FileWeights, reporter: Reporter) -> tuple[Kind, Tensors]:
    """The file's kind (`SAFETENSORS` or `HDF5`) and its tensors by the names they have there.

    Raises `WeightsError` where the file is missing, `ArtefactError` where its hash differs or it is anything but
    plain tensors, `RoomError` where they do not fit into memory.
    """
    path = verified(config)
    if config.sha256 is None:
        reporter.info(
            f"weights {path.name} have sha256 {file_sha256(path)}; write it into model.weights to hold them to it"
        )
    if _kind(path) is SAFETENSORS:
        return SAFETENSORS, read_safetensors(path)
    with tempfile.TemporaryDirectory(prefix="transfercli-weights-") as scratch:
        taken = Path(scratch, "tensors.safetensors")
        _read_by_child(path, taken, reporter)
        return HDF5, read_safetensors(taken)


def verified(config: FileWeights) -> Path:
    """The file, found to be of a kind that is read, and to have the hash that the config wants."""
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


def _kind(path: Path) -> Kind:
    """HDF5 or SAFETENSORS, as both the name and the first bytes say; `ArtefactError` for anything else."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    named, found = READ_BY_SUFFIX.get(path.suffix.lower()), next((kind for kind in KINDS if kind.starts(head)), None)
    if named is not None and named is found:
        return named
    what = f"holds {found.name}" if found else "is neither a safetensors nor an HDF5 file"
    where = " (by its name it would be the other)" if found in (HDF5, SAFETENSORS) and named else ""
    raise ArtefactError(
        f"model.weights.path: {path.name} {what}{where}; allowed are .safetensors, .weights.h5 and _notop.h5",
        SAVE_AGAIN,
    )


def _read_by_child(path: Path, taken: Path | None, reporter: Reporter) -> None:
    """Let `h5_reader` take the tensors of `path` to the file `taken`, or only look where that is None."""
    arguments: list[str | Path] = ["-m", "transfercli.models.weights.h5_reader", path.absolute()]
    arguments += [taken] if taken else []
    tick = partial(reporter.progress, "weights", 0, 1, "files")
    with tempfile.TemporaryDirectory(prefix="transfercli-reader-") as scratch:
        try:
            ended = run_python(
                [*arguments, *([taken] if taken else [])], Path(scratch), timeout=CHILD_SECONDS, tick=tick
            )
        except TimeoutError:
            raise ArtefactError(
                f"model.weights.path: {path.name} could not be read within {CHILD_SECONDS} s",
                "fetch or write the file again",
            ) from None
    _check_ended(path, ended)


def _check_ended(path: Path, ended: Ended) -> None:
    if ended.had_no_room:
        raise RoomError(
            f"model.weights.path: there was not enough memory or disk to read {path.name}",
            "free some and start the same command again; nothing was changed",
        )
    if ended.returncode:
        raise ArtefactError(
            f"model.weights.path: {path.name} was refused: {ended.last_line or 'its reader died'}",
            "allowed is what Keras writes with model.save_weights: plain tensors, nothing linked or packed",
        )
