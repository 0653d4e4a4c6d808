"""Files of embeddings: `.npz` of NumPy, `.safetensors` and `.parquet`, written by blocks and without a time stamp.

Equal embeddings give equal bytes. Nothing in a file can run: no pickle is written or read.

- `.npz`, not compressed: `embeddings` float32 [N, D], `paths` and `sha256` text [N], `metadata` the JSON of the origin.
- `.safetensors`: `embeddings` float32 [N, D], `sha256` uint8 [N, 32], and `paths`, a JSON list of texts as uint8: the
  format has no texts, and its header is too small for the paths of a large folder. The JSON of the origin is the
  entry `metadata` of the header.
- `.parquet`: the columns `path`, `sha256` and `embedding`, a list of D float32. The JSON of the
  origin is the entry `metadata` of the schema.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

import numpy as np

from transfercli.errors import ArtefactError, UsageError
from transfercli.io.atomic import write_all, write_with
from transfercli.io.bounded import parse_json
from transfercli.models.weights.safetensors_reader import read_header
from transfercli.rows import ArrayRows
from transfercli.training.safetensors_writer import header_of
from transfercli.transfer.embeddings.embeddings import Embeddings, Origin

METADATA = "metadata"  # name of the JSON of the origin in every format
SHA256_BYTES = 32


@dataclass(frozen=True)
class FileFormat:
    """Row of `FORMATS`.

    write: writes embeddings to a path. read: reads them; an exception of `DAMAGED` means that the file is damaged.
    module: that both need, of the extra of that name; "" for none.
    """

    write: Callable[[Path, Embeddings], None]
    read: Callable[[Path], Embeddings]
    module: str = ""
    extra: str = ""


def format_of(path: Path, option: str) -> FileFormat:
    """Return the format that a path's suffix names.

    Raises `UsageError` if there is none, or if the library that it needs is not installed.
    """
    row = FORMATS.get(path.suffix.lower())
    if row is None:
        raise UsageError(
            f"{option} {str(path)!r}: the suffix {path.suffix!r} names no format of embeddings;"
            f" allowed: {', '.join(FORMATS)}",
            f"such as {option} {path.stem or 'embeddings'}.npz",
        )
    if row.module and find_spec(row.module) is None:
        raise UsageError(
            f"{option} {str(path)!r}: {path.suffix} needs {row.module}, which is not installed",
            f"pip install 'transfercli[{row.extra}]', or write .npz",
        )
    return row


def write_embeddings(path: Path, embeddings: Embeddings, file_format: FileFormat) -> None:
    """Write a file atomically. Raises `DiskError` or `UsageError` if that fails; an earlier file stays then."""
    write_with(path, lambda temporary: file_format.write(temporary, embeddings))


def read_embeddings(path: Path, file_format: FileFormat) -> Embeddings:
    """Read a file that `write_embeddings` wrote. Raises `ArtefactError` if it is damaged or of another program."""
    try:
        embeddings = file_format.read(path)
        count, width = len(embeddings), embeddings.origin.width
        first = embeddings.vectors.read(np.arange(min(1, count)))
        if len(embeddings.sha256s) != count or len(embeddings.vectors) != count or first.shape[1:] != (width,):
            raise ValueError("its parts are of different lengths")
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile, NotImplementedError) as error:
        raise ArtefactError(
            f"{str(path)!r} is not a whole file of embeddings: {error}", "write it again with transfercli embed"
        ) from error
    return embeddings


def _metadata(embeddings: Embeddings) -> str:
    return json.dumps({"format": 1, **embeddings.origin.as_json()}, sort_keys=True)


# -- .npz


def _write_npz(path: Path, embeddings: Embeddings) -> None:
    texts = {"paths": embeddings.paths, "sha256": embeddings.sha256s, METADATA: _metadata(embeddings)}
    with zipfile.ZipFile(path, "w") as archive:
        with _member(archive, "embeddings") as file:
            shape = (len(embeddings), embeddings.origin.width)
            header = {"descr": "<f4", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            for block in embeddings.blocks():
                file.write(block.astype("<f4", copy=False).tobytes())
        for name, value in texts.items():
            with _member(archive, name) as file:
                np.lib.format.write_array(file, np.array(value, dtype=np.str_), allow_pickle=False)


def _member(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    """Open a new member, whose time is that of `ZipInfo`, 1980, and not the present."""
    return archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True)


def _read_npz(path: Path) -> Embeddings:
    with zipfile.ZipFile(path) as archive:
        if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
            raise ValueError("it is compressed")
        arrays = {name: _read_member(archive, name) for name in ("embeddings", "paths", "sha256", METADATA)}
    origin = Origin.from_json(parse_json(str(arrays[METADATA])))
    paths, hashes = (tuple(arrays[name].tolist()) for name in ("paths", "sha256"))
    return Embeddings(origin, ArrayRows(_checked(arrays["embeddings"])), paths, hashes)


def _read_member(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    """Read an array; the size that its header claims is checked before memory is taken."""
    info = archive.getinfo(f"{name}.npy")
    with archive.open(info) as file:
        if np.lib.format.read_magic(file) != (1, 0):
            raise ValueError(f"{info.filename} has an unknown version")
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        if int(np.prod(shape, dtype=object)) * dtype.itemsize > info.file_size:
            raise ValueError(f"{info.filename} is shorter than it claims")
    with archive.open(info) as file:
        array: np.ndarray = np.lib.format.read_array(file, allow_pickle=False)
    return array


def _checked(vectors: np.ndarray) -> np.ndarray:
    """Return vectors float32 [N, D]. Raises `ValueError` if they are none, or not finite."""
    if vectors.dtype != np.float32 or vectors.ndim != 2:
        raise ValueError(f"its embeddings are {vectors.dtype} {list(vectors.shape)}")
    if not np.isfinite(vectors).all():
        raise ValueError("its embeddings are not finite")
    return vectors


# -- .safetensors


def _write_safetensors(path: Path, embeddings: Embeddings) -> None:
    paths = np.frombuffer(json.dumps(embeddings.paths).encode("ascii"), np.uint8)
    hashes = np.frombuffer(bytes.fromhex("".join(embeddings.sha256s)), np.uint8).reshape(-1, SHA256_BYTES)
    entries: dict[str, tuple[np.dtype, tuple[int, ...]]] = {
        "embeddings": (np.dtype("float32"), (len(embeddings), embeddings.origin.width)),
        "paths": (paths.dtype, paths.shape),
        "sha256": (hashes.dtype, hashes.shape),
    }
    with path.open("wb", buffering=0) as file:
        write_all(file, header_of(entries, {METADATA: _metadata(embeddings)}))
        for block in embeddings.blocks():
            write_all(file, np.ascontiguousarray(block, "<f4").reshape(-1).view(np.uint8).data)
        for array in (paths, hashes):
            write_all(file, array.tobytes())


def _read_safetensors(path: Path) -> Embeddings:
    import safetensors

    read_header(path)  # checks it
    try:
        with safetensors.safe_open(path, "numpy") as file:
            origin = Origin.from_json(parse_json((file.metadata() or {}).get(METADATA, "null")))
            vectors, paths, hashes = (file.get_tensor(name) for name in ("embeddings", "paths", "sha256"))
    except safetensors.SafetensorError as error:
        raise ValueError(str(error)) from error
    names = parse_json(paths.tobytes())
    sha256s = tuple(row.tobytes().hex() for row in hashes)
    return Embeddings(origin, ArrayRows(_checked(vectors)), tuple(map(str, names)), sha256s)


# -- .parquet


def _write_parquet(path: Path, embeddings: Embeddings) -> None:
    import pyarrow
    import pyarrow.parquet

    vector = pyarrow.list_(pyarrow.float32(), embeddings.origin.width)
    columns = [("path", pyarrow.string()), ("sha256", pyarrow.string()), ("embedding", vector)]
    schema = pyarrow.schema(columns, metadata={METADATA: _metadata(embeddings)})
    with pyarrow.parquet.ParquetWriter(path, schema, compression="none", use_dictionary=False) as writer:
        for block, start in _numbered(embeddings):
            rows = slice(start, start + len(block))
            # Parquet's texts are UTF-8: a name of other bytes has escapes such as \udcff.
            paths = [name.encode("utf-8", "backslashreplace").decode() for name in embeddings.paths[rows]]
            values = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(block.reshape(-1)), embeddings.origin.width)
            arrays = [pyarrow.array(paths), pyarrow.array(embeddings.sha256s[rows]), values]
            writer.write_batch(pyarrow.record_batch(arrays, schema=schema))


def _numbered(embeddings: Embeddings) -> Iterator[tuple[np.ndarray, int]]:
    """Yield each block of vectors and the number of its first row."""
    start = 0
    for block in embeddings.blocks():
        yield block, start
        start += len(block)


def _read_parquet(path: Path) -> Embeddings:
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(path)
    except pyarrow.ArrowException as error:
        raise ValueError(str(error)) from error
    origin = Origin.from_json(parse_json((table.schema.metadata or {}).get(METADATA.encode(), b"null")))
    column: Any = table.column("embedding").combine_chunks()
    vectors = column.flatten().to_numpy(zero_copy_only=False).reshape(-1, origin.width)
    paths, hashes = (tuple(table.column(name).to_pylist()) for name in ("path", "sha256"))
    return Embeddings(origin, ArrayRows(_checked(vectors)), paths, hashes)


FORMATS = {
    ".npz": FileFormat(_write_npz, _read_npz),
    ".safetensors": FileFormat(_write_safetensors, _read_safetensors),
    ".parquet": FileFormat(_write_parquet, _read_parquet, "pyarrow", "parquet"),
}
