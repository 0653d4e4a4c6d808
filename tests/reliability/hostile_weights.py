"""Weight files made to run code, reach out or fill memory; each writes one file (or folder) and gives its name.

`outside` is a folder beside the one of the program, with a file `secret.h5` that nothing may open.
"""

from __future__ import annotations

import io
import json
import os
import tarfile  # noqa: TID251 (written only)
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

Write = Callable[[Path, Path], str]
# Old pickle protocol: calls os.system. Only written, never loaded.
PICKLE = b"\x80\x02cposix\nsystem\nX\x0d\x00\x00\x00touch ../evil\x85R."
LAMBDA = {
    "module": "keras",
    "class_name": "Sequential",
    "config": {
        "name": "m",
        "layers": [
            {
                "module": "keras.layers",
                "class_name": "Lambda",
                "config": {
                    "name": "conv1",
                    "function": {"class_name": "__lambda__", "config": {"code": "4wEAAAA=", "defaults": None}},
                },
            }
        ],
    },
}
TFSM = json.loads(
    json.dumps(LAMBDA).replace('"Lambda"', '"TFSMLayer"').replace('"function": {', '"filepath": "../evil", "x": {')
)


def _bytes(name: str, content: bytes) -> Write:
    def write(folder: Path, outside: Path) -> str:
        (folder / name).write_bytes(content)
        return name

    return write


def _zip(name: str, members: dict[str, bytes]) -> Write:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for member, content in members.items():
            archive.writestr(member, content)
    return _bytes(name, buffer.getvalue())


def _tar(name: str, mode: str) -> Write:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        member = tarfile.TarInfo("../../evil")
        member.size = 4
        archive.addfile(member, io.BytesIO(b"evil"))
    return _bytes(name, buffer.getvalue())


def _arrays(name: str, **arrays: Any) -> Write:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return _bytes(name, buffer.getvalue())


def _keras(config: dict[str, Any], name: str) -> Write:
    return _zip(name, {"config.json": json.dumps(config).encode(), "metadata.json": b"{}", "model.weights.h5": b""})


def _saved_model(folder: Path, outside: Path) -> str:
    (folder / "saved").mkdir()
    (folder / "saved" / "saved_model.pb").write_bytes(b"\x08\x01\x12\x00")
    return "saved"


def _pipe(folder: Path, outside: Path) -> str:
    os.mkfifo(folder / "w.safetensors")
    return "w.safetensors"


# -- HDF5


def _hdf5(fill: Callable[[h5py.File, h5py.Group, Path], None]) -> Write:
    """A file of Keras's kind; `fill` gets it, the group of the layer conv1, and `outside`."""

    def write(folder: Path, outside: Path) -> str:
        with h5py.File(folder / "w.weights.h5", "w") as file:
            group = file.create_group("layers/conv1/vars")
            group.attrs["name"] = "conv1"
            fill(file, group, outside)
        return "w.weights.h5"

    return write


def _external_storage(file: h5py.File, group: h5py.Group, outside: Path) -> None:
    group.create_dataset("0", (3,), "float32", external=[(str(outside / "secret.h5"), 0, 12)])


def _virtual(file: h5py.File, group: h5py.Group, outside: Path) -> None:
    layout = h5py.VirtualLayout((3,), "float32")
    layout[:] = h5py.VirtualSource(str(outside / "secret.h5"), "secret", (3,))
    group.create_virtual_dataset("0", layout)


def _link(link: Callable[[Path], Any], key: str = "0") -> Write:
    def fill(file: h5py.File, group: h5py.Group, outside: Path) -> None:
        file["elsewhere"] = np.zeros(3, "float32")
        group[key] = link(outside)

    return _hdf5(fill)


def _linked_group(file: h5py.File, group: h5py.Group, outside: Path) -> None:
    file["layers/conv2"] = h5py.ExternalLink(str(outside / "secret.h5"), "/")


def _dataset(**options: Any) -> Write:
    def fill(file: h5py.File, group: h5py.Group, outside: Path) -> None:
        group.create_dataset("0", **options)

    return _hdf5(fill)


def _references(file: h5py.File, group: h5py.Group, outside: Path) -> None:
    group.create_dataset("0", data=np.array([file.ref, group.ref], h5py.ref_dtype), dtype=h5py.ref_dtype)


def _unknown_filter(file: h5py.File, group: h5py.Group, outside: Path) -> None:
    """A filter that HDF5 would look for as a plugin (32001 is Blosc)."""
    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    creation.set_chunk((4,))
    creation.set_filter(32001, h5py.h5z.FLAG_OPTIONAL, (1, 2))
    space = h5py.h5s.create_simple((4,))
    h5py.h5d.create(group.id, b"0", h5py.h5t.IEEE_F32LE, space, creation)


def _endless(file: h5py.File, group: h5py.Group, outside: Path) -> None:
    for number in range(20):
        file[f"layers/{number}"] = file["/layers"]


def _deep(file: h5py.File, group: h5py.Group, outside: Path) -> None:
    file.create_group("/".join(["a"] * 200))


def _crowded(file: h5py.File, group: h5py.Group, outside: Path) -> None:
    for number in range(20_001):
        group.create_dataset(str(number), (), "int8", data=0)


def _large_attribute(file: h5py.File, group: h5py.Group, outside: Path) -> None:
    kept = file.create_group("model_weights", track_order=True)
    file_space = h5py.h5s.create_simple((3_000_000,))
    h5py.h5a.create(kept.id, b"layer_names", h5py.h5t.C_S1, file_space)


def _whole_model(file: h5py.File, group: h5py.Group, outside: Path) -> None:
    """A legacy model whose config has a Lambda; its weights are named where no layer is."""
    file.attrs["model_config"] = json.dumps(LAMBDA)
    kept = file.create_group("model_weights")
    kept.attrs["layer_names"] = [b"../../secret"]


def _shared_bytes(file: h5py.File, group: h5py.Group, outside: Path) -> None:
    """One data set under many names: little on disk, much in memory."""
    group.create_dataset("0", data=np.zeros(2**20, "float32"))
    for number in range(1, 2000):
        group[str(number)] = group["0"]


def _cut_short(folder: Path, outside: Path) -> str:
    name = _dataset(data=np.zeros(1000, "float32"))(folder, outside)
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) // 2])
    return name


# -- safetensors


def _safetensors(header: Any, behind: bytes = b"", length: int | None = None) -> Write:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    size = len(text) if length is None else length
    return _bytes("w.safetensors", size.to_bytes(8, "little") + text + behind)


def _entry(dtype: Any = "F32", shape: Any = (1,), offsets: Any = (0, 4)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


WEIGHTS: dict[str, Write] = {
    "lambda.keras": _keras(LAMBDA, "w.keras"),
    "tfsmlayer.keras": _keras(TFSM, "w.keras"),
    "keras named safetensors": _keras(LAMBDA, "w.safetensors"),
    "keras named weights": _keras(LAMBDA, "w.weights.h5"),
    "legacy model with a lambda": _hdf5(_whole_model),
    "pickle": _bytes("w.pkl", PICKLE),
    "pickle named safetensors": _bytes("w.safetensors", PICKLE),
    "pickle named h5": _bytes("w.weights.h5", PICKLE),
    "torch archive": _zip("w.pt", {"archive/data.pkl": PICKLE}),
    "torch archive named safetensors": _zip("w.safetensors", {"archive/data.pkl": PICKLE}),
    "object arrays": _arrays("w.npz", a=np.array([{"a": 1}], dtype=object)),
    "saved model": _saved_model,
    "zip that climbs": _zip("w.safetensors", {"../../evil": b"evil"}),
    "tar that climbs": _tar("w.h5", "w"),
    "packed tar that climbs": _tar("w.h5", "w:gz"),
    "script": _bytes("w.safetensors", b"#!/bin/sh\ntouch ../evil\n"),
    "pipe": _pipe,
    "external link": _link(lambda outside: h5py.ExternalLink(str(outside / "secret.h5"), "/secret")),
    "external group": _hdf5(_linked_group),
    "soft link": _link(lambda _: h5py.SoftLink("/elsewhere")),
    "external storage": _hdf5(_external_storage),
    "virtual data set": _hdf5(_virtual),
    "texts": _dataset(data=["text"], dtype=h5py.string_dtype()),
    "compound": _dataset(data=np.zeros(2, [("a", "f4"), ("b", "i4")])),
    "opaque": _dataset(data=np.zeros(2, "V8")),
    "enumeration": _dataset(shape=(2,), dtype=h5py.enum_dtype({"A": 0})),
    "references": _hdf5(_references),
    "terabytes claimed": _dataset(shape=(10**6, 10**6), dtype="float32"),
    "terabytes packed": _dataset(shape=(10**6, 10**5), dtype="float32", chunks=(1000, 1000), compression="gzip"),
    "many dimensions": _dataset(shape=(1,) * 32, dtype="float32"),
    "filter plugin": _hdf5(_unknown_filter),
    "group inside itself": _hdf5(_endless),
    "deep groups": _hdf5(_deep),
    "twenty thousand tensors": _hdf5(_crowded),
    "one tensor two thousand times": _hdf5(_shared_bytes),
    "large attribute": _hdf5(_large_attribute),
    "cut short": _cut_short,
    "header of exabytes": _safetensors(b"{}", length=2**62),
    "header past the end": _safetensors(b"{}", length=100),
    "header of 17 MB": _safetensors(b"{" + b" " * (17 * 2**20) + b"}"),
    "deep header": _safetensors(b'{"a":' * 50_000),
    "header is a list": _safetensors(b"{" + b"}" * 9),
    "name twice": _safetensors(b'{"a":%s,"a":%s}' % ((json.dumps(_entry()).encode(),) * 2), bytes(4)),
    "overlap": _safetensors({"a": _entry(), "b": _entry()}, bytes(4)),
    "gap": _safetensors({"a": _entry(offsets=(4, 8))}, bytes(8)),
    "past the end": _safetensors({"a": _entry(shape=(100,), offsets=(0, 400))}, bytes(4)),
    "negative offset": _safetensors({"a": _entry(offsets=(-4, 0))}, bytes(4)),
    "shape without end": _safetensors({"a": _entry(shape=(2**40, 2**40))}, bytes(4)),
    "objects": _safetensors({"a": _entry(dtype="O")}, bytes(4)),
    "name with an escape": _safetensors({"\x1b[2J../../evil": _entry()}, bytes(4)),
}
