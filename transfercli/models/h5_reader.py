"""Take the tensors, and nothing else, out of a Keras HDF5 weight file; runs as a child process of its own.

usage: python -m transfercli.models.h5_reader FILE OUT.safetensors

An HDF5 file may hold links to other files, external or virtual storage, filters that load plugins, and sizes that
fill memory. Only plain floating-point or integer data sets are read, under limits of memory and time, in a process
that a damaged file may take down without harm. Tensors leave as `LAYER/INDEX`, in the order Keras keeps a layer's
weights. Exit status 1 with one line on stderr means the file was refused.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MAX_TENSORS = 20_000
MAX_BYTES = 4 * 2**30
MAX_DEPTH = 16
_MEMORY_LIMIT = 3 * MAX_BYTES
_CPU_SECONDS = 300


class Refused(Exception):
    """The file is not plain weights."""


def main(source: str, out: str) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_LIMIT, _MEMORY_LIMIT))
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_SECONDS, _CPU_SECONDS))
    os.environ["HDF5_PLUGIN_PRELOAD"] = "::"  # HDF5's own switch: load no filter plugins
    import h5py
    import safetensors.numpy

    try:
        with h5py.File(source, "r") as file:
            tensors = dict(_tensors(file))
    except Refused:
        raise
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, MemoryError) as error:
        raise Refused(f"not a readable HDF5 file ({type(error).__name__})") from error
    safetensors.numpy.save_file(tensors, out)


def _tensors(file: Any) -> Iterator[tuple[str, Any]]:
    total = 0
    for count, (name, dataset) in enumerate(_legacy(file) or _keras3(file, depth=0), start=1):
        _check_plain(name, dataset)
        total += dataset.size * dataset.dtype.itemsize
        if count > MAX_TENSORS or total > MAX_BYTES:
            raise Refused(f"more than {MAX_TENSORS} tensors or {MAX_BYTES // 2**30} GiB")
        yield name, dataset[()]


def _legacy(file: Any) -> list[tuple[str, Any]]:
    """`_notop.h5` and whole-model `.h5` files: layers and the order of their weights stand in attributes."""
    root = _child(file, "model_weights") if "model_weights" in file else file
    if "layer_names" not in root.attrs:
        return []
    found = []
    for layer in map(_text, root.attrs["layer_names"]):
        group = _child(root, layer)
        for index, weight in enumerate(map(_text, group.attrs["weight_names"])):
            dataset = group
            for part in weight.strip("/").split("/"):
                dataset = _child(dataset, part)
            found.append((f"{layer}/{index}", dataset))
    return found


def _keras3(group: Any, depth: int) -> Iterator[tuple[str, Any]]:
    """`.weights.h5` files: groups named `vars` carry their layer's name as an attribute."""
    if depth > MAX_DEPTH:
        raise Refused(f"groups nested deeper than {MAX_DEPTH}")
    for key in group:
        child = _child(group, key)
        if not _is_group(child):
            continue
        if key == "vars" and "name" in child.attrs:
            layer = _text(child.attrs["name"])
            yield from ((f"{layer}/{index}", _child(child, index)) for index in sorted(child, key=_as_number))
        else:
            yield from _keras3(child, depth + 1)


def _child(group: Any, key: str) -> Any:
    """A member of a group, followed only if it is a plain hard link."""
    import h5py

    if not _is_group(group) or key not in group:
        raise Refused(f"{key!r} is missing")
    if not isinstance(group.get(key, getlink=True), h5py.HardLink):
        raise Refused(f"{key!r} is a link to somewhere else")
    return group[key]


def _check_plain(name: str, dataset: Any) -> None:
    import h5py

    if not isinstance(dataset, h5py.Dataset):
        raise Refused(f"{name!r} is not a data set")
    if dataset.is_virtual or dataset.external:
        raise Refused(f"{name!r} keeps its data outside the file")
    if dataset.dtype.kind not in "fiu" or dataset.ndim > 8:
        raise Refused(f"{name!r} is not a plain numeric tensor but {dataset.dtype}")


def _is_group(item: Any) -> bool:
    import h5py

    return isinstance(item, h5py.Group)


def _text(value: Any) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)


def _as_number(index: str) -> int:
    if not index.isdecimal():
        raise Refused(f"{index!r} is not a weight's index")
    return int(index)


if __name__ == "__main__":
    try:
        main(str(Path(sys.argv[1])), sys.argv[2])
    except Refused as refused:
        sys.exit(str(refused))
