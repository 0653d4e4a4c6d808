"""Files of embeddings: what other programs read in them, and what is refused."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors

from transfercli.errors import ArtefactError, UsageError
from transfercli.rows import ArrayRows, TransformedRows
from transfercli.transfer.embeddings.embeddings import Embeddings, Origin
from transfercli.transfer.embeddings.files import FORMATS, format_of, read_embeddings, write_embeddings

NAMES = ("a b/größe.png", "a b/größe.png", "bytes \udcff.png")
HASHES = ("0a" * 32, "0a" * 32, "f1" * 32)


def embeddings(digits: Any, count: int = 3) -> Embeddings:
    vectors = np.ascontiguousarray(digits.features[:count], "float32")
    origin = Origin("ab12", "flowers/1", ("block4", "last"), (24, 40), "length")
    return Embeddings(origin, ArrayRows(vectors), NAMES[:count], HASHES[:count])


@pytest.fixture(params=[".npz", ".safetensors", ".parquet"])
def suffix(request: pytest.FixtureRequest) -> str:
    if request.param == ".parquet":
        pytest.importorskip("pyarrow")
    return str(request.param)


def test_what_was_written_is_read(digits: Any, tmp_path: Path, suffix: str) -> None:
    written, path = embeddings(digits), tmp_path / f"x{suffix}"
    write_embeddings(path, written, FORMATS[suffix])
    read = read_embeddings(path, FORMATS[suffix])
    np.testing.assert_array_equal(np.concatenate([*read.blocks()]), digits.features[:3].astype("float32"))
    assert (read.origin, read.sha256s) == (written.origin, HASHES)
    assert read.paths[:2] == NAMES[:2]
    assert read.paths[2] == (NAMES[2] if suffix != ".parquet" else r"bytes \udcff.png")


def test_equal_embeddings_give_equal_bytes(digits: Any, tmp_path: Path, suffix: str) -> None:
    for name in ("x", "y"):
        write_embeddings(tmp_path / f"{name}{suffix}", embeddings(digits), FORMATS[suffix])
    assert (tmp_path / f"x{suffix}").read_bytes() == (tmp_path / f"y{suffix}").read_bytes()


def test_numpy_reads_the_arrays_without_a_pickle(digits: Any, tmp_path: Path) -> None:
    write_embeddings(tmp_path / "x.npz", embeddings(digits), FORMATS[".npz"])
    with np.load(tmp_path / "x.npz", allow_pickle=False) as content:
        assert content["embeddings"].dtype == np.float32
        assert content["embeddings"].shape == (3, 64)
        assert content["paths"].tolist() == [*NAMES]
        assert content["sha256"].tolist() == [*HASHES]
        assert json.loads(str(content["metadata"]))["layers"] == ["block4", "last"]


def test_the_safetensors_library_reads_the_tensors(digits: Any, tmp_path: Path) -> None:
    write_embeddings(tmp_path / "x.safetensors", embeddings(digits), FORMATS[".safetensors"])
    with safetensors.safe_open(tmp_path / "x.safetensors", "numpy") as file:
        assert file.get_tensor("embeddings").shape == (3, 64)
        assert tuple(json.loads(file.get_tensor("paths").tobytes())) == NAMES
        assert file.get_tensor("sha256")[2].tobytes().hex() == HASHES[2]
        assert json.loads(file.metadata()["metadata"])["network"] == "ab12"


def test_only_a_block_of_the_vectors_is_in_memory(tmp_path: Path) -> None:
    count, width = 40_000, 1024  # 164 MB
    rows = TransformedRows(ArrayRows(np.arange(count)), lambda _, rows: np.full((len(rows), width), 0.5, "float32"))
    made = Embeddings(Origin("n", "b", ("last",), (width,), "none"), rows, ("p",) * count, ("0a" * 32,) * count)
    for suffix in (".npz", ".safetensors"):
        tracemalloc.start()
        write_embeddings(tmp_path / f"x{suffix}", made, FORMATS[suffix])
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 80e6
        assert (tmp_path / f"x{suffix}").stat().st_size > 4 * count * width


def cut(content: bytes) -> bytes:
    return content[: len(content) - 40]


def other(content: bytes) -> bytes:
    return b"some text"


@pytest.mark.parametrize("damage", [cut, other])
def test_a_damaged_file_is_an_error_that_says_so(digits: Any, tmp_path: Path, suffix: str, damage: Any) -> None:
    path = tmp_path / f"x{suffix}"
    write_embeddings(path, embeddings(digits), FORMATS[suffix])
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ArtefactError, match="not a whole"):
        read_embeddings(path, FORMATS[suffix])


def arrays(**changed: Any) -> dict[str, Any]:
    metadata = {"network": "n", "name": "b", "layers": ["last"], "widths": [2], "normalise": "none"}
    whole = {"embeddings": np.ones((1, 2), "float32"), "paths": ["a"], "sha256": ["0a"]}
    return {**whole, "metadata": json.dumps(metadata), **changed}


@pytest.mark.parametrize(
    "changed",
    [
        {"embeddings": np.ones((1, 3), "float32")},
        {"embeddings": np.full((1, 2), np.nan, "float32")},
        {"embeddings": np.ones((1, 2), "float64")},
        {"embeddings": np.array([None, None])},
        {"paths": ["a", "b"]},
        {"metadata": "{}"},
        {"metadata": "[1"},
    ],
)
def test_arrays_of_another_program_are_refused(tmp_path: Path, changed: dict[str, Any]) -> None:
    np.savez(tmp_path / "x.npz", **arrays())
    read_embeddings(tmp_path / "x.npz", FORMATS[".npz"])
    np.savez(tmp_path / "x.npz", **arrays(**changed))
    with pytest.raises(ArtefactError, match="not a whole file of embeddings"):
        read_embeddings(tmp_path / "x.npz", FORMATS[".npz"])


def test_a_compressed_file_is_refused_before_it_is_expanded(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "x.npz", **arrays())
    with pytest.raises(ArtefactError, match="compressed"):
        read_embeddings(tmp_path / "x.npz", FORMATS[".npz"])


def test_the_suffix_names_the_format(monkeypatch: pytest.MonkeyPatch) -> None:
    assert format_of(Path("a/X.NPZ"), "-o") is FORMATS[".npz"]
    with pytest.raises(UsageError, match=r"'x.csv'.*allowed: \.npz, \.safetensors, \.parquet"):
        format_of(Path("x.csv"), "-o")
    monkeypatch.setattr("transfercli.transfer.embeddings.files.find_spec", lambda _: None)
    with pytest.raises(UsageError, match="pyarrow") as missing:
        format_of(Path("x.parquet"), "-o")
    assert "pip install 'transfercli[parquet]'" in str(missing.value.hint)
