"""Parquet files with images, as Hugging Face's `datasets` writes them: the same images as in a folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from tests.data.pixels import all_pixels
from tests.data.remote.test_shards import contents
from tests.object_server import BUCKET, ObjectServer
from transfercli.data.archive_members import is_parquet, read_bytes
from transfercli.data.dataset import Dataset
from transfercli.errors import DataError
from transfercli.io import parquet_cells

Load = Callable[..., Dataset]
Grow = Callable[..., Path]
IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
NAMES = ["b", "a"]  # the order of a ClassLabel is its own


def metadata(label: str = "label", names: Any = NAMES) -> dict[str, str]:
    features = {"image": {"_type": "Image"}, label: {"names": names, "_type": "ClassLabel"}}
    return {"huggingface": json.dumps({"info": {"features": features}})}


def cells(files: Sequence[Path]) -> list[dict[str, Any]]:
    return [{"bytes": file.read_bytes(), "path": file.name} for file in files]


def write(path: Path, columns: dict[str, Any], form: dict[str, str] | None = None, group: int = 5) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table(columns).replace_schema_metadata(form)
    parquet.write_table(table, path, row_group_size=group)
    return path


def class_labels(path: Path, images: Path, group: int = 5) -> Path:
    """Write the images of a folder of classes as `datasets` does."""
    files = sorted(images.rglob("*.png"))
    columns = {
        "image": pa.array(cells(files), IMAGE),
        "label": pa.array([NAMES.index(file.parent.name) for file in files], pa.int64()),
    }
    return write(path, columns, metadata(), group)


@pytest.fixture
def images(tmp_path: Path, grow: Grow) -> Path:
    return grow(tmp_path / "images", {"a": 12, "b": 12})


def test_images_and_names_of_classes_are_those_of_the_folder(images: Path, load: Load, tmp_path: Path) -> None:
    class_labels(tmp_path / "train.parquet", images)
    dataset = load(tmp_path, train="train.parquet")
    assert contents(dataset) == contents(load(tmp_path))
    assert dataset.records[0].path == "train.parquet/image/000000000"
    pixels = dict(zip([record.sha256 for record in load(tmp_path).records], [0] * 24, strict=True))
    assert {record.sha256 for record in dataset.records} == {*pixels}


def test_a_folder_is_divided_by_the_names_of_its_files_and_readme_is_ignored(
    images: Path, load: Load, tmp_path: Path, grow: Grow
) -> None:
    folder = tmp_path / "dataset"
    class_labels(folder / "data/train-00000-of-00001.parquet", images)
    held_out = grow(tmp_path / "held-out", {"a": 4, "b": 4}, 100)
    class_labels(folder / "data/test-00000-of-00001-a09b74b3ef9c3b56.parquet", held_out)
    (folder / "README.md").write_text("# A data set")
    dataset = load(tmp_path, train="dataset")
    assert len(dataset.splits["test"]) == 8
    assert {record.label for record in dataset.records} == {"a", "b"}


def test_a_pattern_stands_for_the_files_that_match_it(images: Path, load: Load, tmp_path: Path, grow: Grow) -> None:
    class_labels(tmp_path / "all/part-0.parquet", images)
    class_labels(tmp_path / "all/part-1.parquet", grow(tmp_path / "more", {"a": 4, "b": 4}, 100))
    class_labels(tmp_path / "all/other.parquet", grow(tmp_path / "other", {"a": 4, "b": 4}, 200))
    assert len(load(tmp_path, train="all/part-*.parquet").records) == 32
    with pytest.raises(DataError, match="matches no archive"):
        load(tmp_path, train="all/no-*.parquet")


def test_remote_files_are_fetched_as_one_object_each(
    images: Path, load: Load, tmp_path: Path, server: ObjectServer
) -> None:
    class_labels(tmp_path / "data/train-0.parquet", images)
    server.upload(tmp_path / "data", "data/")
    local = load(tmp_path, train="data")
    for given in ("data", "data/*.parquet", "data/train-0.parquet"):
        remote = load(tmp_path, train=f"s3://{BUCKET}/{given}")
        assert remote.records == local.records
        assert all_pixels(remote) == all_pixels(local)
    assert server.gets() == ["data/train-0.parquet"]


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary()])
def test_binary_columns_texts_splits_and_groups_are_read(
    images: Path, load: Load, tmp_path: Path, kind: pa.DataType
) -> None:
    files = sorted(images.rglob("*.png"))
    columns = {
        "picture": pa.array([file.read_bytes() for file in files], kind),
        "species": pa.array([file.parent.name for file in files]).dictionary_encode(),
        "split": ["test" if row % 3 == 0 else "train" for row in range(24)],
        "person": [row // 2 for row in range(24)],
    }
    write(tmp_path / "all.parquet", columns)
    dataset = load(tmp_path, train="all.parquet", columns={"label": "species", "group": "person"})
    assert len(dataset.splits["test"]) >= 8
    assert [(sha, label) for sha, label in contents(dataset)] == contents(load(tmp_path))


def test_a_process_keeps_one_row_group(images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = class_labels(tmp_path / "all.parquet", images)
    assert is_parquet(path)
    parquet_cells._group.cache_clear()
    files = sorted(images.rglob("*.png"))
    for row, file in enumerate(files):
        assert read_bytes(f"{path}/image/{row:09}") == file.read_bytes()
    assert parquet_cells._group.cache_info().misses == 5
    monkeypatch.setattr(parquet_cells, "MAX_GROUP_BYTES", 100)
    parquet_cells._group.cache_clear()
    with pytest.raises(OSError, match="fewer rows in a group"):
        read_bytes(f"{path}/image/{0:09}")


def test_an_image_that_is_null_is_unusable_with_its_row(images: Path, load: Load, tmp_path: Path) -> None:
    files = sorted(images.rglob("*.png"))
    values: list[Any] = [*cells(files)]
    values[3], values[7] = None, {"bytes": None, "path": "elsewhere.png"}
    columns = {"image": pa.array(values, IMAGE), "label": [file.parent.name for file in files]}
    write(tmp_path / "all.parquet", columns)
    with pytest.raises(DataError, match=r"row 3 has no bytes"):
        load(tmp_path, train="all.parquet")
    dataset = load(tmp_path, train="all.parquet", max_bad_fraction=0.2)
    assert [record.path for record in dataset.records if record.problem] == [
        "all.parquet/image/000000003",
        "all.parquet/image/000000007",
    ]


@pytest.mark.parametrize(
    "change, message",
    [
        ({"label": [0, 1, 2, 0]}, "row 2: the label 2 is none of the 2 classes"),
        ({"label": [0, 1, -1, 0]}, "row 2: the label -1 .* no label"),
        ({"label": [0, None, 1, 0]}, "row 1"),
        ({"label": [{"a": 1}] * 4}, "row 0"),
        ({"label": None}, "has no column 'label' for labels"),
        ({"image": None}, "none of them with images"),
        ({"image": ["a.png"] * 4}, "none of them with images"),
        ({"image": [[b"x"]] * 4}, "none of them with images"),
        ({"image": None, "one": [b"x"] * 4, "two": [b"x"] * 4}, "several of them"),
        ({"image": None, "a/../b": [b"x"] * 4}, "in a column named"),
    ],
)
def test_columns_that_cannot_be_read_are_named_with_the_row(
    load: Load, tmp_path: Path, png: Callable[[int], bytes], change: dict[str, Any], message: str
) -> None:
    columns: dict[str, Any] = {
        "image": pa.array([{"bytes": png(row), "path": None} for row in range(4)], IMAGE),
        "label": [0, 1, 0, 1],
    }
    columns = {name: value for name, value in {**columns, **change}.items() if value is not None}
    write(tmp_path / "all.parquet", columns, metadata())
    with pytest.raises(DataError, match=rf"all\.parquet.*{message}"):
        load(tmp_path, train="all.parquet")


@pytest.mark.parametrize(
    "form",
    [
        {"huggingface": "no JSON"},
        {"huggingface": "[]"},
        metadata(names=5),
        metadata(names=["a", "a"]),
        metadata(names=["a", 7]),
        {"huggingface": "[" * 100_000},
    ],
)
def test_damaged_metadata_is_named(
    load: Load, tmp_path: Path, png: Callable[[int], bytes], form: dict[str, str]
) -> None:
    columns = {"image": pa.array([{"bytes": png(row), "path": None} for row in range(4)], IMAGE), "label": [0, 1] * 2}
    write(tmp_path / "all.parquet", columns, form)
    with pytest.raises(DataError, match=r"all\.parquet cannot be read: its metadata"):
        load(tmp_path, train="all.parquet")


@pytest.mark.parametrize("damage", [lambda content: content[:-9], lambda _: b"", lambda _: b"PAR1" * 9])
def test_a_damaged_file_is_named(images: Path, load: Load, tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    path = class_labels(tmp_path / "all.parquet", images)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=r"all\.parquet cannot be read: it is damaged, or no Parquet file"):
        load(tmp_path, train="all.parquet")


def test_damaged_pages_are_unusable_images(images: Path, load: Load, tmp_path: Path) -> None:
    path = class_labels(tmp_path / "all.parquet", images)
    content = bytearray(path.read_bytes())
    content[4:400] = b"\xff" * 396
    path.write_bytes(content)
    with pytest.raises(DataError, match="damaged"):
        load(tmp_path, train="all.parquet")


def test_a_missing_library_is_named_with_the_line_that_installs_it(
    images: Path, load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class_labels(tmp_path / "all.parquet", images)
    parquet_cells._index.cache_clear()
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(DataError, match="needs pyarrow") as error:
        load(tmp_path, train="all.parquet")
    assert error.value.hint == "pip install 'transfercli[parquet]'"


def test_unlabelled_and_related_images_may_be_in_such_files(images: Path, load: Load, tmp_path: Path) -> None:
    files = sorted(images.rglob("*.png"))
    write(tmp_path / "unlabelled.parquet", {"image": pa.array(cells(files[:6]), IMAGE)})
    class_labels(tmp_path / "related/train-0.parquet", images)
    held_out = {"train": "images", "validation": 0.25, "test": None}
    dataset = load(tmp_path, **held_out, unlabelled="unlabelled.parquet", related=["related"])
    names = [record.path for record in dataset.auxiliary.records]
    assert len([name for name in names if name.startswith("../unlabelled.parquet/image/")]) == 6
    assert len([name for name in names if name.startswith("../related/train-0.parquet/image/")]) == 24
