"""Kinds of weight files, by their first bytes: two that are read, and those that an error names with the way out."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from transfercli.errors import ArtefactError
from transfercli.text import byte_size, clipped

HEAD_BYTES = 512
MAX_INDEX_BYTES = 16 * 2**20

SAVE_AGAIN = (
    "if you trust it, load it and save only its weights: model.save_weights('NAME.weights.h5') in Keras, or"
    " safetensors; whole models, archives and pickles are never loaded"
)
FROM_PICKLE = (
    "if you trust it, write its tensors as safetensors, where PyTorch is installed:"
    "\n  tensors = torch.load('{name}', map_location='cpu', weights_only=True)"
    "\n  safetensors.torch.save_file({{k: v.contiguous() for k, v in tensors.items()}}, '{stem}.safetensors')"
    "\n(if the weights are inside, such as in tensors['state_dict'], take those), or fetch the safetensors file of the"
    " same weights, which most repositories have"
)
ONE_FILE = (
    "write one file of all parts, with the package safetensors:"
    "\n  parts = [safetensors.numpy.load_file(p) for p in sorted(pathlib.Path('.').glob('{pattern}'))]"
    "\n  safetensors.numpy.save_file({{k: v for part in parts for k, v in part.items()}}, 'whole.safetensors')"
)
SHARD = re.compile(r"(.+)-(\d{5})-of-(\d{5})\.safetensors")
SHARD_INDEX = ".safetensors.index.json"


@dataclass(frozen=True, slots=True)
class FileKind:
    """File format. matches: returns True if the first bytes of a file are those of this format.

    mend: the hint of the error, for a format that is refused; {name} and {stem} stand for those of the file.
    """

    name: str
    matches: Callable[[bytes], bool]
    mend: str = SAVE_AGAIN


def _is_torch_archive(head: bytes) -> bool:
    """Return True for a zip archive whose first members are those that PyTorch writes."""
    return head.startswith(b"PK") and any(mark in head for mark in (b"/data.pkl", b"/.format_version", b"/byteorder"))


HDF5 = FileKind("an HDF5 file", lambda head: head.startswith(b"\x89HDF\r\n\x1a\n"))
# Keras reads the layers of such a file by their order: the names in the published files are of older versions.
LEGACY_HDF5 = FileKind("an HDF5 file with a list of its layers (_notop.h5)", HDF5.matches)
# The length of its header, in eight bytes, and then the header. Its low bytes may look like those of a pickle or zip
# archive; these have other bytes than zeros after them.
SAFETENSORS = FileKind("a safetensors file", lambda head: head[4:9] == b"\0\0\0\0{")
LFS_POINTER = FileKind("a Git LFS pointer", lambda head: head.startswith(b"version https://git-lfs.github.com/spec/"))
# Formats that may contain code, or files to be written anywhere: the error names the format; the file is not read.
REFUSED = (
    FileKind("a PyTorch file, which is a pickle and runs code when it is loaded", _is_torch_archive, FROM_PICKLE),
    FileKind("a zip archive (.keras, .npz and .pt files are ones)", lambda head: head.startswith(b"PK")),
    FileKind(
        "a pickle, which runs code when it is loaded (older PyTorch files are ones)",
        lambda head: head[:1] == b"\x80" and head[1:2] <= b"\x05",
        FROM_PICKLE,
    ),
    FileKind("a NumPy file", lambda head: head.startswith(b"\x93NUMPY")),
    FileKind(
        "a compressed file", lambda head: head.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd"))
    ),
    FileKind("a tar archive", lambda head: head[257:262] == b"ustar"),
    FileKind("a program or script", lambda head: head.startswith((b"\x7fELF", b"MZ", b"#!"))),
    FileKind("a GGUF file, which is quantised", lambda head: head.startswith(b"GGUF")),
    FileKind(
        "a web page",
        lambda head: head.lstrip()[:15].lower().startswith((b"<!doctype html", b"<html")),
        "a server sent a page instead of the file, such as one that asks to log in: fetch the file itself",
    ),
)
KINDS = (HDF5, LFS_POINTER, SAFETENSORS, *REFUSED)
READ_BY_SUFFIX = {".safetensors": SAFETENSORS, ".h5": HDF5, ".hdf5": HDF5}


def kind_of(path: Path, title: str) -> FileKind:
    """Return HDF5 or SAFETENSORS. title: the file's name in messages, with the key of the config that names it.

    Raises `ArtefactError` unless the file's suffix and first bytes agree on one of the two.
    """
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    by_suffix = READ_BY_SUFFIX.get(path.suffix.lower())
    by_content = next((kind for kind in KINDS if kind.matches(head)), None)
    if by_suffix is not None and by_suffix is by_content:
        return by_suffix
    if by_content is LFS_POINTER:
        raise _pointer_error(path, title, head.decode("utf-8", "replace"))
    if path.name.endswith(".json"):
        raise _json_error(path, title)
    if not head:
        raise ArtefactError(f"{title} is empty", "fetch or write the file again")
    problem = f"is {by_content.name}" if by_content else "is neither a safetensors nor an HDF5 file"
    if by_suffix and by_content in (HDF5, SAFETENSORS):
        problem += f", but its suffix is that of {by_suffix.name}"
    raise ArtefactError(
        f"{title} {problem}; allowed are .safetensors, .weights.h5 and _notop.h5",
        (by_content.mend if by_content else SAVE_AGAIN).format(name=path.name, stem=path.stem),
    )


def shard_note(name: str) -> str:
    """Return a note if a file's name is that of one part of a checkpoint in several files, else ""."""
    match = SHARD.fullmatch(name)
    return f"; {name} is part {int(match[2])} of {int(match[3])} of a checkpoint" if match else ""


def _pointer_error(path: Path, title: str, text: str) -> ArtefactError:
    found = {key: value for key, _, value in (line.partition(" ") for line in text.splitlines())}
    size, digest = found.get("size", ""), clipped(found.get("oid", "unknown").removeprefix("sha256:"))
    stored = f"a file of {byte_size(int(size))}" if size.isdecimal() and len(size) < 20 else "a file"
    return ArtefactError(
        f"{title} is a Git LFS pointer of {path.stat().st_size} bytes, not the weights: it stands for {stored} with the"
        f" sha256 {digest}",
        "fetch the file that it stands for: git lfs pull, in the folder of the repository",
    )


def _json_error(path: Path, title: str) -> ArtefactError:
    """Return the error for a JSON file; the index of a checkpoint in several files is named with its parts."""
    parts: list[str] = []
    if path.name.endswith(SHARD_INDEX) and path.stat().st_size <= MAX_INDEX_BYTES:
        try:
            entries = json.loads(path.read_bytes())["weight_map"].values()
            parts = sorted({str(part) for part in entries})
        except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
            parts = []
    if not parts:
        return ArtefactError(f"{title} is a JSON file, not a file of weights", "name the .safetensors file")
    return ArtefactError(
        f"{title} is the index of a checkpoint in {len(parts)} files ({clipped(parts[0])} …), not the weights",
        ONE_FILE.format(pattern=path.name.removesuffix(SHARD_INDEX) + "-*-of-*.safetensors"),
    )
