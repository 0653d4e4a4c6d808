"""Reader of Keras HDF5 weight files, run as a child process: tensors only, under limits of memory and time.

usage: python -m transfercli.models.weights.h5_reader FILE [OUT.safetensors]

An HDF5 file may contain links to other files, external or virtual storage, filters that load plugins, and sizes that
fill memory. Only plain numeric data sets whose bytes are in the file itself are read. A damaged file can crash this
process without harm to the program. Tensors are written as `LAYER/INDEX`, in Keras's order of a layer's weights, and
the order of a `_notop.h5` file's tensors in the metadata; without OUT the file is only checked. Exit status 1 with one
line on stderr means that the file was refused.
"""

from __future__ import annotations

import json
import math
import os
import resource
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from transfercli.text import clipped

MAX_TENSORS = 20_000
MAX_MEMBERS = 200_000  # groups and data sets visited: hard links can form a cycle
MAX_BYTES = 4 * 2**30
MAX_DEPTH = 16
MAX_DIMENSIONS = 8
MAX_ATTRIBUTE = 2**20
LIBRARY_BYTES = 2**30  # address space of Python, NumPy and HDF5 themselves
CPU_SECONDS = 120
ORDER = "order"
OPEN_FILES = 64
# NumPy kinds of plain numbers; references, text, opaque bytes, enumerations and compounds have others.
PLAIN_KINDS = "fiu"


class Refused(Exception):
    """The file contains something other than plain tensors."""


def main(source: str, out: str | None = None) -> None:
    """Check the file `source` and, with `out`, write its tensors there. Raises `Refused`."""
    size = Path(source).stat().st_size
    if size > MAX_BYTES:
        raise Refused(f"it is larger than {MAX_BYTES // 2**30} GiB")
    limit_resources(size)
    import h5py
    import safetensors.numpy

    try:
        with h5py.File(source, "r") as file:
            tensors = dict(_tensors(file, size, read=out is not None))
            is_legacy = bool(_legacy(file))
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise Refused(f"not a readable HDF5 file ({type(error).__name__})") from error
    if out is not None:
        safetensors.numpy.save_file(tensors, out, {ORDER: json.dumps(list(tensors))} if is_legacy else None)


def limit_resources(size: int) -> None:
    """Limit this process to what a file of `size` bytes needs, as far as the system can, and turn off HDF5 plugins.

    Tensors are in memory once, and once more while they are written. They cannot need more than that: `_check_plain`
    makes sure that every byte of a tensor is in the file.
    """
    memory = LIBRARY_BYTES + 3 * size
    for limit, soft, hard in (
        (resource.RLIMIT_AS, memory, memory),
        (resource.RLIMIT_CPU, CPU_SECONDS, CPU_SECONDS + 10),  # at the hard limit: SIGKILL, as when memory is short
        (resource.RLIMIT_FSIZE, size + LIBRARY_BYTES, size + LIBRARY_BYTES),
        (resource.RLIMIT_NOFILE, OPEN_FILES, OPEN_FILES),
        (resource.RLIMIT_CORE, 0, 0),
    ):
        with suppress(ValueError, OSError):
            resource.setrlimit(limit, (soft, hard))
    for name in [name for name in os.environ if name.startswith("HDF5_")]:
        del os.environ[name]  # drivers, plugins and their folders
    os.environ["HDF5_PLUGIN_PRELOAD"] = "::"  # HDF5's own switch: load no plugins
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # each thread takes address space


def _tensors(file: Any, size: int, *, read: bool) -> Iterator[tuple[str, Any]]:
    """Yield (LAYER/INDEX, array, or None unless `read`) of each checked tensor in a file of `size` bytes."""
    import numpy as np

    left = min(size, MAX_BYTES)
    for count, (name, dataset) in enumerate(_legacy(file) or _Keras3().walk(file), start=1):
        left -= _check_plain(name, dataset)
        if count > MAX_TENSORS or left < 0:
            raise Refused(f"more than {MAX_TENSORS} tensors, or more bytes of them than the file has")
        yield name, np.asarray(dataset[()]) if read else None  # a number without dimensions is a NumPy scalar


def _legacy(file: Any) -> list[tuple[str, Any]]:
    """Return the data sets of `_notop.h5` and whole-model `.h5` files, whose attributes list layers and weights."""
    root = _child(file, "model_weights") if "model_weights" in file else file
    if "layer_names" not in root.attrs:
        return []
    datasets = []
    for layer in map(_text, _attribute(root, "layer_names")):
        group = _child(root, layer)
        for index, weight in enumerate(map(_text, _attribute(group, "weight_names"))):
            dataset = group
            for part in weight.strip("/").split("/"):
                dataset = _child(dataset, part)
            datasets.append((f"{layer}/{index}", dataset))
            if len(datasets) > MAX_TENSORS:
                raise Refused(f"more than {MAX_TENSORS} tensors")
    return datasets


class _Keras3:
    """Traversal of a `.weights.h5` file, in which groups named `vars` have their layer's name as an attribute."""

    def __init__(self) -> None:
        self.members = 0

    def walk(self, group: Any, depth: int = 0) -> Iterator[tuple[str, Any]]:
        """Yield (LAYER/INDEX, data set) of every weight below a group."""
        if depth > MAX_DEPTH:
            raise Refused(f"groups nested deeper than {MAX_DEPTH}")
        for key in group:
            self.members += 1
            if self.members > MAX_MEMBERS:
                raise Refused(f"more than {MAX_MEMBERS} groups and data sets")
            child = _child(group, key)
            if not _is_group(child):
                continue
            if key == "vars" and "name" in child.attrs:
                layer = _text(_attribute(child, "name"))
                yield from ((f"{layer}/{index}", _child(child, index)) for index in sorted(child, key=_weight_index))
            else:
                yield from self.walk(child, depth + 1)


def _attribute(group: Any, name: str) -> Any:
    """Return an attribute of bounded size. Texts that share bytes can still need more memory than there is."""
    attribute = group.attrs.get_id(name)
    size = math.prod(attribute.shape) * attribute.dtype.itemsize
    if size > MAX_ATTRIBUTE:
        raise Refused(f"its attribute {name} has {size} bytes; at most {MAX_ATTRIBUTE} are read")
    try:
        return group.attrs[name]
    except MemoryError:
        raise Refused(f"its attribute {name} does not fit into memory") from None


def _child(group: Any, key: str) -> Any:
    """Return a member of a group. Raises `Refused` if it is missing, or a link that is not a hard link."""
    import h5py

    if not _is_group(group) or key not in group:
        raise Refused(f"{clipped(key)} is missing")
    if not isinstance(group.get(key, getlink=True), h5py.HardLink):
        raise Refused(f"{clipped(key)} is a link to another object or file")
    return group[key]


def _check_plain(name: str, dataset: Any) -> int:
    """Return the bytes of a data set. Raises `Refused` unless all are in the file, uncompressed and plain numbers."""
    import h5py

    if not isinstance(dataset, h5py.Dataset):
        raise Refused(f"{clipped(name)} is not a data set")
    if dataset.is_virtual or dataset.external:
        raise Refused(f"{clipped(name)} has its data outside the file")
    if dataset.dtype.kind not in PLAIN_KINDS or dataset.ndim > MAX_DIMENSIONS or h5py.check_enum_dtype(dataset.dtype):
        raise Refused(f"{clipped(name)} is not a plain numeric tensor but {dataset.dtype}"[:200])
    if dataset.id.get_create_plist().get_nfilters():
        raise Refused(f"{clipped(name)} is compressed or filtered")
    size = int(dataset.size) * int(dataset.dtype.itemsize)
    if dataset.id.get_storage_size() < size:
        raise Refused(f"{clipped(name)} claims {size} bytes that are not in the file")
    return size


def _is_group(item: Any) -> bool:
    import h5py

    return isinstance(item, h5py.Group)


def _text(value: Any) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)


def _weight_index(index: str) -> int:
    if not index.isdecimal() or len(index) > 9:
        raise Refused(f"{clipped(index)} is not a weight's index")
    return int(index)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:3])
    except Refused as refused:
        sys.exit(str(refused))
