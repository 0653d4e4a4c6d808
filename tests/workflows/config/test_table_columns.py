"""Starter configs for tables with the columns that people give them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.digits import write_folders
from tests.listener import Listener
from transfercli.config.loader import load
from transfercli.config.starter import starter
from transfercli.data.sources.listing import list_images
from transfercli.data.sources.task import with_task
from transfercli.workflows.config.survey import survey
from transfercli.workflows.config.table_columns import table_settings

NINE = range(9)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The names of nine images are in ORDER, without an extension."""
    write_folders(tmp_path / "all", {"photos": 9})
    return tmp_path / "all"


def ids(folder: Path) -> list[str]:
    return sorted(path.stem for path in (folder / "photos").iterdir())


@pytest.mark.parametrize(
    "header, cells, settings",
    [
        ("image_id,breed", lambda n: ["pug", "husky"][n % 2], {"path": "image_id", "label": "breed"}),
        ("id,site,labels", lambda n: f"x,{['dog;cat', 'dog', ''][n % 3]}", {"path": "id"}),
        ("Filename;Tags", lambda n: ["red|blurry", "red", "blurry"][n % 3], {"path": "Filename", "label": "Tags"}),
        ("id,dog,cat", lambda n: ["1,0", "0,1", "1,1"][n % 3], {"path": "id", "label": ["dog", "cat"]}),
        ("id,patient,dog,cat", lambda n: [f"p{n},{row}" for row in ("1,0", "0,1", "1,1")][n % 3],
         {"path": "id", "label": ["dog", "cat"]}),
        ("id,tags", lambda n: ["dog cat", "cat sea", "dog sea", "cat dog", "sea cat", "sea dog", "cat", "", "sea"][n],
         {"path": "id", "label": "tags"}),
        (",id,dog,cat", lambda n: ["1,0", ",1", "1,1"][n % 3], {"path": "id", "label": ["dog", "cat"]}),
    ],
)  # fmt: skip
def test_a_starter_names_the_columns_that_are_clear_and_reads_the_table(
    header: str, cells: Any, settings: dict[str, Any], folder: Path
) -> None:
    separator, index = ";" if ";" in header else ",", header.startswith(",")
    rows = [f"{f'{n},' if index else ''}{name}{separator}{cells(n)}\n" for n, name in enumerate(ids(folder))]
    (folder / "list.csv").write_text(f"{header}\n{''.join(rows)}")
    found = survey(str(folder / "list.csv"), folder, Listener())
    assert found.settings["columns"] == settings
    assert found.settings["path_template"] == "photos/{path}.png"
    assert found.size == (32, 32)
    text = starter(found)
    assert "per class" not in text or found.several is None
    assert ("look separated by it" in text) == ("label_separator" in found.settings)
    (folder / "config.yaml").write_text(text)
    loaded = load(folder / "config.yaml").config
    config, notes = with_task(loaded)
    assert (config.task, notes) == (loaded.task, [])  # the starter says all that the table would decide
    assert config.data == loaded.data or isinstance(settings.get("label"), list)
    listing = list_images(config.data, Listener(), config.task)
    assert [Path(item.file).is_file() for item in listing.items] == [True] * 9
    assert listing.counts() == found.counts
    assert found.images == 9


def test_a_folder_without_classes_is_surveyed_by_its_only_table(folder: Path) -> None:
    (folder / "list.csv").write_text("id,label\n" + "".join(f"{name},{name[-1]}\n" for name in ids(folder)))
    reporter = Listener()
    found = survey(str(folder), folder.parent, reporter)
    assert found.data == str(folder / "list.csv")
    assert "has no class folders: its table list.csv is used" in reporter.infos[-1]


def test_columns_that_are_not_clear_are_left_to_the_user(folder: Path) -> None:
    (folder / "list.csv").write_text("name,a,b\nx,red,1\ny,blue,2\n")
    assert table_settings(folder / "list.csv") == {}
    reporter = Listener()
    found = survey(str(folder / "list.csv"), folder, reporter)
    assert (found.counts, found.settings) == ({}, {})
    assert "list.csv has the columns name, a, b; expected path, label" in reporter.warnings[0]
    assert "The table could not be read with these keys: correct data.columns" in starter(found)
