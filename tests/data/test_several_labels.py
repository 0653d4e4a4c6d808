"""Data sets whose images have several labels each: targets, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.listener import Listener
from transfercli.config.schema import ComputeConfig, DataConfig, ExperimentConfig
from transfercli.config.types import MULTILABEL
from transfercli.data.dataset import Dataset
from transfercli.data.ingest import Reading
from transfercli.data.load import DataRequest, examine_dataset, load_folder_split, load_recorded_split
from transfercli.data.sources.table_format import TableFormat
from transfercli.data.sources.task import with_task
from transfercli.errors import DataError

Rows = list[tuple[str, str]]
SETS = ["dog;cat", "dog", "cat", ""] * 5  # both labels, one, the other, none


@pytest.fixture
def several(tmp_path: Path, grow: Any, load: Callable[..., Dataset]) -> Callable[..., Dataset]:
    """`several(sets, **data)`: load images of which each has the labels of one cell, joined by semicolons."""
    grow(tmp_path / "images", {"x": 30})

    def run(sets: list[str], first: int = 0, **data: Any) -> Dataset:
        table(tmp_path, sets, first)
        return load(tmp_path, "list.csv", task=MULTILABEL, label_separator=";", **data)

    return run


def table(folder: Path, sets: list[str], first: int = 0, name: str = "list.csv", split: str = "") -> Path:
    files = sorted(path.name for path in (folder / "images" / "x").iterdir())[first:]
    rows = [f"images/x/{file},{labels},{split}\n" for file, labels in zip(files, sets, strict=False)]
    (folder / name).write_text("path,labels,split\n" + "".join(rows))
    return folder / name


def test_targets_have_a_column_for_each_label(several: Callable[..., Dataset], tmp_path: Path) -> None:
    dataset = several(SETS, validation=0.2, test=None)
    split = dataset.splits["train"]
    assert (dataset.labels, split.several, split.targets.dtype) == (("cat", "dog"), True, np.int32)
    of_path = dict(zip(split.paths, split.targets.tolist(), strict=True))
    wanted = {"dog;cat": [1, 1], "dog": [0, 1], "cat": [1, 0], "": [0, 0]}
    rows = [line.split(",") for line in (tmp_path / "list.csv").read_text().splitlines()[1:]]
    assert of_path == {path: wanted[labels] for path, labels, _ in rows if path in of_path}


def test_a_recorded_split_and_another_table_are_read_with_the_same_labels(
    several: Callable[..., Dataset], tmp_path: Path, reading: Reading
) -> None:
    dataset = several(SETS, validation=0.2, test=None)
    read = partial(load_recorded_split, dataset.records, str(tmp_path / "list.csv"), "validation", dataset.labels)
    recorded = read(reading, several=True)
    np.testing.assert_array_equal(recorded.targets, dataset.splits["validation"].targets)
    config = DataConfig(train="list.csv", label_separator=";")
    other = table(tmp_path, ["dog", "cat;dog", ""], name="other.csv")
    split = load_folder_split(other, "test", dataset.labels, reading, TableFormat.of(config, MULTILABEL))
    assert split.targets.tolist() == [[0, 1], [1, 1], [0, 0]]
    other = table(tmp_path, ["dog", "cat;fish"], name="other.csv")
    with pytest.raises(DataError, match="the images have the label 'fish', unknown to the run: known are 'cat', 'dog'"):
        load_folder_split(other, "test", dataset.labels, reading, TableFormat.of(config, MULTILABEL))
    with pytest.raises(DataError, match="is a folder, which gives each image one class"):
        load_folder_split(tmp_path / "images", "test", dataset.labels, reading, TableFormat.of(config, MULTILABEL))


@pytest.mark.parametrize(
    "sets, said",
    [
        (["dog;photo", "cat;photo", "photo", "photo"] * 5, "1 label cannot be learnt: all of 20 images have 'photo'"),
        (["dog"] * 20, "the training data has one label ('dog'); at least two labels are needed"),
    ],
)
def test_a_label_that_every_image_has_cannot_be_learnt(
    sets: list[str], said: str, several: Callable[..., Dataset]
) -> None:
    with pytest.raises(DataError) as caught:
        several(sets, validation=0.2, test=None)
    assert said in caught.value.message


def test_columns_that_no_image_has_are_named_with_counts(
    tmp_path: Path, grow: Any, load: Callable[..., Dataset]
) -> None:
    grow(tmp_path / "images", {"x": 8})
    files = sorted(path.name for path in (tmp_path / "images" / "x").iterdir())
    rows = [f"images/x/{file},{n % 2},{-1 if n < 3 else 0},{-1 if n < 2 else 1}\n" for n, file in enumerate(files)]
    (tmp_path / "list.csv").write_text("path,dog,cat,fish\n" + "".join(rows))
    columns = {"label": ["dog", "cat", "fish"]}
    with pytest.raises(DataError) as caught:
        load(tmp_path, "list.csv", task=MULTILABEL, columns=columns, validation=0.3, test=None)
    assert "2 labels cannot be learnt: none of 5 images has 'cat' (3 unknown), all of 6 images have 'fish' (2 unk" in (
        caught.value.message
    )


def test_a_held_out_table_without_a_label_is_refused_with_counts_unless_it_is_expected(
    several: Callable[..., Dataset], tmp_path: Path, reporter: Listener
) -> None:
    table(tmp_path, ["dog", "", "dog"], 20, "test.csv")
    with pytest.raises(DataError, match="test images: none of 3 images has 'cat': such a label cannot be measured"):
        several(SETS, validation=0.25, test="test.csv")
    several(SETS, validation=0.25, test="test.csv", expect={"classes": ["cat"]})
    [warning] = [text for text in reporter.warnings if "average precision" in text]
    assert warning.startswith("test images: none of 3 images has 'cat': metrics that need")


def test_copies_with_other_labels_are_refused_with_names_and_counts(
    several: Callable[..., Dataset], tmp_path: Path, reporter: Listener
) -> None:
    first, second = sorted((tmp_path / "images" / "x").iterdir())[:2]
    second.write_bytes(first.read_bytes())
    with pytest.raises(DataError) as caught:
        several(SETS, validation=0.2, test=None)
    assert "2 images of 20 have the same pixels as one with other labels" in caught.value.message
    assert f"'images/x/{first.name}', 'images/x/{second.name}' (contradicted: 'cat')" in caught.value.message
    several(SETS, validation=0.2, test=None, max_bad_fraction=0.1)
    assert any("each is used with its own labels" in text for text in reporter.warnings)


def test_all_problems_of_labels_are_reported_together(several: Callable[..., Dataset], tmp_path: Path) -> None:
    table(tmp_path, ["Dog;photo", "dog;photo", "cat;photo", "photo"] * 5)
    config = DataConfig(train=str(tmp_path / "list.csv"), label_separator=";", test=None)
    request = DataRequest(config, (16, 16), ComputeConfig(), task=MULTILABEL)
    refusals = [error.message for error in examine_dataset(request, Listener()).refusals]
    assert any("'Dog' (5 images) and 'dog' (5 images)" in message for message in refusals)
    assert any("all of 20 images have 'photo'" in message for message in refusals)


def test_labels_that_only_held_out_images_have_are_reported_by_an_examination(tmp_path: Path, grow: Any) -> None:
    grow(tmp_path / "images", {"x": 30})
    table(tmp_path, SETS)
    with (tmp_path / "list.csv").open("a") as file:
        paths = sorted((tmp_path / "images" / "x").iterdir())[20:]
        file.writelines(f"images/x/{path.name},dog;fox,{'test' if n % 2 else 'val'}\n" for n, path in enumerate(paths))
    config = DataConfig(train=str(tmp_path / "list.csv"), label_separator=";")
    examination = examine_dataset(DataRequest(config, (16, 16), ComputeConfig(), task=MULTILABEL), Listener())
    assert examination.refusals[0].message == (
        "the validation images have the label 'fox', unknown to the training images: known are 'cat', 'dog'"
    )


def test_label_columns_whose_names_are_not_utf8_are_refused_with_the_fix(tmp_path: Path, grow: Any) -> None:
    grow(tmp_path / "images", {"x": 8})
    files = sorted(path.name for path in (tmp_path / "images" / "x").iterdir())
    rows = [f"images/x/{file},{n % 2},{n // 4}\n" for n, file in enumerate(files)]
    (tmp_path / "list.csv").write_text("path,réd,blue\n" + "".join(rows), "latin-1")
    data = {"train": str(tmp_path / "list.csv")}
    config, _ = with_task(ExperimentConfig.model_validate({"name": "x", "data": data, "model": {"base": "small_cnn"}}))
    request = DataRequest(config.data, (16, 16), ComputeConfig(), task=config.task)
    [refusal] = examine_dataset(request, Listener()).refusals
    assert "the first line of list.csv: the column 'r\\udce9d' is not valid Unicode" in refusal.message
    assert "save it as CSV in UTF-8" in str(refusal.hint)


@pytest.mark.parametrize("split", ["validation", "test"])
def test_a_split_whose_labels_are_all_unknown_is_refused_before_training(
    split: str, tmp_path: Path, grow: Any, load: Callable[..., Dataset]
) -> None:
    grow(tmp_path / "images", {"x": 24})
    files = sorted(path.name for path in (tmp_path / "images" / "x").iterdir())
    splits = ["train"] * 12 + ["validation"] * 6 + ["test"] * 6
    cells = [("-1", "-1") if name == split else (n % 2, n // 2 % 2) for n, name in enumerate(splits)]
    rows = [f"images/x/{file},{name},{a},{b}\n" for file, name, (a, b) in zip(files, splits, cells, strict=True)]
    (tmp_path / "list.csv").write_text("path,split,dog,cat\n" + "".join(rows))
    named = {"columns": {"label": ["dog", "cat"]}, "expect": {"classes": ["cat", "dog"]}}
    with pytest.raises(DataError, match=f"every label of the 6 {split} images is unknown"):
        load(tmp_path, "list.csv", task=MULTILABEL, **named)
