"""Tables of images: CSV and JSONL files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.data.sources.listings import listed, names, touch
from tests.listener import Listener
from transfercli.data.sources.lost_paths import check_found
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


def table_of(folder: Path, name: str, text: str, encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le-bom"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_tables_of_spreadsheets_are_read(encoding: str, separator: str, tmp_path: Path) -> None:
    rows = [("path", "label"), ("a é.jpg", "cät"), ("b.jpg", "dog")]
    text = "".join(separator.join(row) + "\r\n" for row in rows)
    codec = encoding.removesuffix("-bom")
    table_of(tmp_path, "list.csv", ("\ufeff" if codec != encoding else "") + text, codec)
    assert [(item.name, item.label) for item in listed(tmp_path, "list.csv").items] == [
        ("a é.jpg", "cät"),
        ("b.jpg", "dog"),
    ]


def test_a_table_of_zero_bytes_is_named_for_what_it_is(tmp_path: Path) -> None:
    table_of(tmp_path, "list.csv", "path,label\n1.jpg,a\n", "utf-16-le")
    with pytest.raises(DataError, match="UTF-16 without a byte order mark"):
        listed(tmp_path, "list.csv")


def test_columns_have_the_names_that_the_config_gives(tmp_path: Path) -> None:
    table_of(tmp_path, "list.csv", "image_id,breed,fold,owner\n1,pug,train,x\n2,pug,dev,x\n3,husky,,y\n4,pug,,z\n")
    columns = {"id": "image_id", "label": "breed", "split": "fold", "group": "owner"}
    found = listed(tmp_path, "list.csv", columns=columns, path_template="images/{label}/{id}.jpg")
    assert [(item.name, item.label, item.split) for item in found.items] == [
        ("images/husky/3.jpg", "husky", "train"),
        ("images/pug/1.jpg", "pug", "train"),
        ("images/pug/2.jpg", "pug", "validation"),
        ("images/pug/4.jpg", "pug", "train"),
    ]
    assert found.groups["images/pug/1.jpg"] == found.groups["images/pug/2.jpg"] == "x"
    by_name = listed(tmp_path, "list.csv", columns=columns, path_template="{owner}/{image_id}.png")
    assert by_name.items[0].name == "x/1.png"


@pytest.mark.parametrize(
    "header, row, said, hint",
    [
        ("image_id,breed", "1,pug", "expected path, label", "data.columns: {path: image_id, label: breed}"),
        ("path,breed", "1,pug", "expected path, label", "data.columns: {label: breed}"),
        (
            "path,cat,dog",
            "1.jpg,0,1",
            "the columns cat, dog look like one column for each label",
            "into one column 'label'",
        ),
    ],
)
def test_other_columns_are_named_with_the_key_that_mends_it(
    header: str, row: str, said: str, hint: str, tmp_path: Path
) -> None:
    table_of(tmp_path, "list.csv", f"{header}\n{row}\n")
    with pytest.raises(DataError) as caught:
        listed(tmp_path, "list.csv")
    assert said in caught.value.message
    assert hint in str(caught.value.hint)


def test_a_misspelt_value_leaves_no_column_out_of_the_advice(tmp_path: Path) -> None:
    rows = ["1.jpg,north,0,1,0", "2.jpg,south,1,yes,0", "3.jpg,north,0,,2", "4.jpg,south,-1,0,1", "5.jpg,west,1,0,0"]
    table_of(tmp_path, "list.csv", "path,site,cat,dog,sea\n" + "\n".join(rows))
    with pytest.raises(DataError) as caught:
        listed(tmp_path, "list.csv")
    assert "the columns cat, dog, sea look like one column for each label" in caught.value.message
    assert "but dog is 'yes' in line 3, sea is '2' in line 4" in caught.value.message
    assert "correct these values to 1, 0 or -1, then name them" in str(caught.value.hint)
    assert "data.columns: {label: [cat, dog, sea]}" in str(caught.value.hint)


def test_a_template_that_a_row_cannot_fill_names_the_row(tmp_path: Path) -> None:
    table_of(tmp_path, "list.csv", "id,label\n1,a\n,b\n")
    with pytest.raises(DataError, match=r"list.csv:3: data.path_template '\{id\}.jpg' needs a value of 'id'"):
        listed(tmp_path, "list.csv", path_template="{id}.jpg")


def test_several_labels_in_one_value_are_a_warning(tmp_path: Path) -> None:
    table_of(tmp_path, "list.csv", 'path,label\n1.jpg,red\n2.jpg,"red,blurry"\n3.jpg,red wine\n')
    reporter = Listener()
    assert len(listed(tmp_path, "list.csv", reporter=reporter).items) == 3
    [warning] = reporter.warnings
    assert "'red,blurry': such labels look like several labels of one image, but each is a class of its own" in warning


@pytest.mark.parametrize(
    "path, hint",
    [
        ("images\\cat\\1.jpg", "write / between folders: a backslash is part of a name here"),
        ("C:\\data\\1.jpg", "write / between folders"),
        ("file:///data/1.jpg", "give paths relative to the table's folder, or addresses"),
        ("1", "set data.path_template: 'images/{label}/{path}.jpg'"),
        ("cat/1.jpg", "set data.path_template: 'images/{path}'"),
        ("top", "set data.path_template: '{path}.png'"),
        ("7.jpg", "paths in a table are relative to its folder"),
    ],
)
def test_paths_that_lead_nowhere_are_named_with_the_place_and_what_may_mend_it(
    path: str, hint: str, tmp_path: Path
) -> None:
    touch(tmp_path, "images/cat/1.jpg", "top.png")
    table_of(tmp_path, "list.csv", f'path,label\n"{path}",cat\n"{path}{path}",dog\n')
    with pytest.raises(DataError) as caught:
        check_found(listed(tmp_path, "list.csv").items, tmp_path, None, tmp_path / "copies")
    assert "none of the 2 paths of train images leads to a file" in caught.value.message
    assert f"at '{tmp_path}/" in caught.value.message
    assert hint in str(caught.value.hint)


@pytest.mark.parametrize(
    "template, hint",
    [
        ("images/{id}", "set data.path_template: 'images/{id}.jpg'"),
        ("{id}.jpg", "set data.path_template: 'images/{id}.jpg'"),
        ("{id}", "set data.path_template: 'images/{id}.jpg'"),
        ("photos/{id}", "correct data.path_template, which is 'photos/{id}'"),
    ],
)
def test_a_path_template_that_leads_nowhere_is_mended_with_its_own_columns(
    template: str, hint: str, tmp_path: Path
) -> None:
    touch(tmp_path, "images/1.jpg")
    table_of(tmp_path, "list.csv", "image_id,label\n1,cat\n2,dog\n")
    items = listed(tmp_path, "list.csv", path_template=template, columns={"id": "image_id"}).items
    with pytest.raises(DataError) as caught:
        check_found(items, tmp_path, template, tmp_path / "copies")
    assert hint in str(caught.value.hint)


def test_one_path_that_leads_to_a_file_is_enough(tmp_path: Path) -> None:
    touch(tmp_path, "1.jpg")
    table_of(tmp_path, "list.csv", "path,label\n1.jpg,cat\n2.jpg,dog\n")
    check_found(listed(tmp_path, "list.csv").items, tmp_path, None, tmp_path / "copies")
