"""Tables of images: CSV and JSONL files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.data.sources.listings import listed, names
from transfercli.errors import DataError

WRITERS: dict[str, Callable[[list[dict[str, str]]], str]] = {
    "list.csv": lambda rows: (
        "\ufeffpath,label,split\n" + "".join(f'"{r["path"]}",{r["label"]},{r.get("split", "")}\n' for r in rows)
    ),
    "list.jsonl": lambda rows: "\n".join(json.dumps(row) for row in rows) + "\n\n",
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_table_names_paths_labels_and_sides(name: str, tmp_path: Path) -> None:
    rows = [
        {"path": "far/2.jpg", "label": "b"},
        {"path": "far/1,1.jpg", "label": "a", "split": "train"},
        {"path": "far/3.jpg", "label": "a", "split": "Val"},
        {"path": "../up/4", "label": "a", "split": "test"},
    ]
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / name).write_text(WRITERS[name](rows))
    found = listed(tmp_path, f"lists/{name}")
    assert names(found) == ["far/1,1.jpg", "far/2.jpg"]
    assert (names(found, "validation"), names(found, "test")) == (["far/3.jpg"], ["../up/4"])
    assert found.fractions == {}
    assert found.items[1].file == str(tmp_path / "lists" / "far" / "1,1.jpg")


@pytest.mark.parametrize(
    "name, content, said",
    [
        ("a.csv", "file,label\nx.jpg,a\n", "a.csv has the columns file, label"),
        ("a.csv", "", "(none)"),
        ("a.csv", "path,label\n", "lists no images"),
        ("a.csv", "path,label\nx.jpg\n", "a.csv:2: label must be text, received None"),
        ("a.csv", "path,label\n,a\n", "a.csv:2: path must be text, received ''"),
        ("a.csv", "path,label,split\nx.jpg,a,holdout\n", "a.csv:2: split 'holdout' is not one of"),
        (
            "a.csv",
            "path,label\nx.jpg,a\n./x.jpg,b\n",
            "a.csv:3: './x.jpg' is listed twice, with the labels 'a' and 'b'",
        ),
        ("a.csv", "path,label\nx.jpg,a\nx, y.jpg,b\n", "a.csv:3: more values than the 2 columns"),
        ("a.csv", "path,label,path\nx.jpg,a,y.jpg\n", "a.csv has the columns path, label, path; expected"),
        ("a.jsonl", '{"path": "x.jpg", "label": "a"}\nrubbish\n', "a.jsonl:2: not JSON"),
        ("a.jsonl", "[1]\n", "a.jsonl:1: expected an object"),
        ("a.jsonl", "[" * 100_000, "a.jsonl:1: not JSON"),
        ("a.jsonl", '{"path": "x.jpg", "label": ["a"]}\n', "label must be text, received ['a']"),
        ("a.jsonl", '{"path": "x.jpg", "label": true}\n', "label must be text, received True"),
        ("a.jsonl", '{"path": "x\\u0000.jpg", "label": "a"}\n', "holds a NUL"),
        ("a.jsonl", '{"path": "x.jpg", "label": "\\ud800"}\n', "is not valid Unicode"),
    ],
)
def test_a_table_that_cannot_be_used_is_told_with_its_line(name: str, content: str, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError) as caught:
        listed(tmp_path, name)
    assert said in caught.value.message
