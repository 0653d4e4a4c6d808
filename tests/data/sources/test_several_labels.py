"""Tables whose images have several labels each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.data.sources.listings import listed, touch
from tests.listener import Listener
from transfercli.config.loader import load
from transfercli.config.schema import DataConfig, ExpectConfig
from transfercli.config.types import MULTILABEL
from transfercli.data.label_sets import LabelSet
from transfercli.data.sources.auxiliary import list_all
from transfercli.data.sources.listing import Listing, check_label_names, list_images
from transfercli.data.sources.task import with_task
from transfercli.errors import ConfigError, DataError
from transfercli.reporting import Reporter


def write(folder: Path, text: str, name: str = "list.csv") -> None:
    (folder / name).write_text(text, encoding="utf-8")


def found(
    folder: Path, data: str = "", train: str = "list.csv", task: str = "", reporter: Reporter | None = None
) -> tuple[Listing, list[str]]:
    """The images of a config, after its task was found, and what was said about it."""
    text = (
        f"name: x\nmodel: {{base: small_cnn}}\ndata:\n  train: {train}\n  test: null\n  validation: 0.2\n{data}{task}"
    )
    write(folder, text, "config.yaml")
    config, notes = with_task(load(folder / "config.yaml").config)
    return list_images(config.data, reporter or Reporter(), config.task), notes


def labels(listing: Listing) -> dict[str, LabelSet]:
    assert listing.several
    return {item.name: LabelSet.read(item.label) for item in listing.items}


def test_a_separator_that_the_config_gives_divides_a_value(tmp_path: Path) -> None:
    rows = 'a,green;blurry\nb," blurry ; green;; green;"\nc,\nd,"""a;b"";c"\ne,[]\nf,"[""x"", ""y""]"\n'
    write(tmp_path, "path,labels\n" + rows)
    listing, notes = found(tmp_path, '  label_separator: ";"\n')
    assert labels(listing) == {
        "a": LabelSet(("blurry", "green")),
        "b": LabelSet(("blurry", "green")),
        "c": LabelSet(),
        "d": LabelSet(("a;b", "c")),
        "e": LabelSet(),
        "f": LabelSet(("x", "y")),
    }
    assert notes == ["task: multilabel, because data.label_separator is ';'"]


@pytest.mark.parametrize("separator, cell", [(" ", "haze  primary "), ("|", "haze|primary"), (", ", "haze, primary")])
def test_any_text_can_separate_labels(separator: str, cell: str, tmp_path: Path) -> None:
    write(tmp_path, f'path,label\na,"{cell}"\nb,haze\n')
    listing, _ = found(tmp_path, f'  label_separator: "{separator}"\n')
    assert labels(listing)["a"] == LabelSet(("haze", "primary"))


def test_columns_hold_one_label_each(tmp_path: Path) -> None:
    write(tmp_path, "image_id,dog,cat,fish\n1,1,0,-1\n2,0.0,1.0,nan\n3,true,FALSE,-1.0\n4,,1,1\n")
    data = "  columns: {id: image_id, label: [dog, cat, fish]}\n  path_template: '{id}.jpg'\n"
    listing, notes = found(tmp_path, data)
    assert labels(listing) == {
        "1.jpg": LabelSet(("dog",), ("fish",)),
        "2.jpg": LabelSet(("cat",), ("fish",)),
        "3.jpg": LabelSet(("dog",), ("fish",)),
        "4.jpg": LabelSet(("cat", "fish"), ("dog",)),
    }
    assert notes[1] == "data.empty_labels: unknown, because list.csv has 0 for no (1 empty cell)"


def test_an_empty_cell_is_no_if_the_table_has_no_zero_or_the_config_says_so(tmp_path: Path) -> None:
    write(tmp_path, "path,dog,cat\na,1,\nb,,1\nc,,\n")
    listing, notes = found(tmp_path, "  columns: {label: [dog, cat]}\n")
    assert labels(listing) == {"a": LabelSet(("dog",)), "b": LabelSet(("cat",)), "c": LabelSet()}
    assert "data.empty_labels: absent, because list.csv has no 0 (4 empty cells)" in notes
    write(tmp_path, "path,dog,cat\na,1,\nb,0,1\n")
    for setting, unknown in (("absent", ()), ("unknown", ("cat",))):
        listing, _ = found(tmp_path, f"  columns: {{label: [dog, cat]}}\n  empty_labels: {setting}\n")
        assert labels(listing)["a"] == LabelSet(("dog",), unknown)


def test_a_pattern_stands_for_the_columns_that_match_it(tmp_path: Path) -> None:
    write(tmp_path, "finding_id,finding_a,age,finding_b\nx.png,1,31,0\ny.png,0,40,1\n")
    listing, notes = found(tmp_path, "  columns: {path: finding_id, label: ['finding_*']}\n")
    assert labels(listing)["x.png"] == LabelSet(("finding_a",))
    assert listing.columns == {"finding_a", "finding_b"}
    assert "stands for 2 columns" in notes[0]


@pytest.mark.parametrize("name", ["list.csv", "list.jsonl"])
def test_a_table_without_a_column_for_labels_and_only_flags_is_read_as_such(name: str, tmp_path: Path) -> None:
    rows = [{"path": "a", "dog": 1, "cat": 0, "split": "train"}, {"path": "b", "dog": 0, "cat": 1, "split": "test"}]
    as_csv = "path,dog,cat,split\n" + "".join(",".join(map(str, row.values())) + "\n" for row in rows)
    write(tmp_path, as_csv if name == "list.csv" else "".join(json.dumps(row) + "\n" for row in rows), name)
    listing, notes = found(tmp_path, train=name)
    assert labels(listing) == {"a": LabelSet(("dog",))}
    [note] = notes
    assert f"because {name} has no column 'label', and its other columns hold 1, 0 or -1: dog, cat; each image" in note
    write(tmp_path, "path,dog,cat\na,1,1\nb,0,1\n")
    assert found(tmp_path)[1][0].endswith("hold 1, 0 or -1: dog, cat")


@pytest.mark.parametrize(
    "text", ["path,dog,cat,age\na,1,0,31\nb,0,1,4\n", "path,dog\na,1\nb,0\n", "path,dog,note\na,1,\nb,0,\n"]
)
def test_a_table_that_is_not_clear_is_an_error_and_no_guess(text: str, tmp_path: Path) -> None:
    write(tmp_path, text)
    with pytest.raises(DataError, match="expected path, label"):
        found(tmp_path)


def test_lists_and_objects_of_json_are_read(tmp_path: Path) -> None:
    rows = [["dog", "cat"], [], {"dog": 1, "cat": None, "fish": False}, [7]]
    write(
        tmp_path,
        "".join(json.dumps({"path": f"{n}.jpg", "labels": row}) + "\n" for n, row in enumerate(rows)),
        "l.jsonl",
    )
    listing, notes = found(tmp_path, train="l.jsonl")
    assert [*labels(listing).values()] == [
        LabelSet(("cat", "dog")),
        LabelSet(),
        LabelSet(("dog",), ("cat",)),
        LabelSet(("7",)),
    ]
    assert notes == ["task: multilabel, because l.jsonl has a list of labels for each image"]


def test_a_table_may_have_a_row_for_each_label_of_an_image(tmp_path: Path) -> None:
    write(tmp_path, "path,label\na,dog\na,beach\nb,dog\nb,dog\nc,\n")
    listing, _ = found(tmp_path, task="task: multilabel\n")
    assert labels(listing) == {"a": LabelSet(("beach", "dog")), "b": LabelSet(("dog",)), "c": LabelSet()}
    with pytest.raises(DataError, match=r"'a' is listed twice") as caught:
        listed(tmp_path, "list.csv")
    assert "set task: multilabel" in str(caught.value.hint)
    write(tmp_path, "path,label,split\na,dog,train\na,beach,test\n")
    with pytest.raises(DataError, match="in different splits or groups"):
        found(tmp_path, task="task: multilabel\n")
    write(tmp_path, "path,label\na,dog;cat\na,beach\n")
    with pytest.raises(DataError, match="is listed twice"):
        found(tmp_path, "  label_separator: ';'\n")


@pytest.mark.parametrize("cell, separator", [('"green,blurry"', ","), ("a;b", ";"), ("a|b", "|")])
def test_joined_values_are_an_error_with_the_separator_that_mends_it(cell: str, separator: str, tmp_path: Path) -> None:
    write(tmp_path, f"path,label\n1,{cell}\n2,red\n3,{cell}\n")
    with pytest.raises(DataError) as caught:
        found(tmp_path, task="task: multilabel\n")
    assert "2 images of 3 with a label look like images with several" in caught.value.message
    assert f'set data.label_separator: "{separator}"' in str(caught.value.hint)
    assert labels(
        found(tmp_path, "  label_separator: ';;'\n" if separator == ";" else f"  label_separator: '{separator}'\n")[0]
    )


def test_another_separator_than_the_table_has_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, "path,label\n1,a|b\n2,b\n3,a\n")
    with pytest.raises(DataError, match=r"and none holds data\.label_separator ';'") as caught:
        found(tmp_path, "  label_separator: ';'\n")
    assert 'data.label_separator: "|"' in str(caught.value.hint)


@pytest.mark.parametrize(
    "text, data, said",
    [
        ("path,a,b\nx,1,2\n", "  columns: {label: [a, b]}\n", "list.csv:2: b is '2', which says neither yes nor no"),
        ("path,a,b\nx,1\n", "  columns: {label: [a, b]}\n", "list.csv:2: b has no value: the row is too short"),
        ("path,labels\nx\n", "  label_separator: ';'\n", "list.csv:2: labels has no value"),
        ("path,a,c\nx,1,0\n", "  columns: {label: [a, b]}\n", "it lacks the label b"),
        ("path,labels\nx,\"['a', 'b']\"\n", "  label_separator: ';'\n", "looks like a list of labels, but is no JSON"),
        ("path,é,e\u0301\nx,1,0\n", "  columns: {label: ['é', 'e\u0301']}\n", "are columns of one label"),
    ],
)
def test_a_table_of_several_labels_that_cannot_be_used_is_named_with_its_line(
    text: str, data: str, said: str, tmp_path: Path
) -> None:
    write(tmp_path, text)
    with pytest.raises(DataError) as caught:
        found(tmp_path, data)
    assert said in caught.value.message


def test_a_label_in_brackets_is_read_as_the_hint_says(tmp_path: Path) -> None:
    write(tmp_path, "path,labels\n1,[x];red\n2,[x]\n")
    with pytest.raises(DataError, match=r"list.csv:3: '\[x\]' looks like a list") as caught:
        found(tmp_path, "  label_separator: ';'\n")
    assert str(caught.value.hint).endswith('write the list ["[x]"]')
    write(tmp_path, 'path,labels\n1,[x];red\n2,"[""[x]""]"\n')
    listing, _ = found(tmp_path, "  label_separator: ';'\n")
    assert [item.label for item in listing.items] == ['["[x]", "red"]', '["[x]"]']


def test_json_without_labels_is_no_image_without_labels(tmp_path: Path) -> None:
    write(tmp_path, '{"path": "a", "labels": ["x"]}\n{"path": "b"}\n', "l.jsonl")
    with pytest.raises(DataError, match=r"l.jsonl:2: labels? has no value") as caught:
        found(tmp_path, train="l.jsonl")
    assert "write [] for an image without any label" in str(caught.value.hint)
    write(tmp_path, '{"path": "a", "x": 1}\n{"path": "b", "y": 1}\n', "l.jsonl")
    with pytest.raises(DataError, match="it lacks the label z"):
        found(tmp_path, "  columns: {label: [x, z]}\n", train="l.jsonl")


@pytest.mark.parametrize("value", ["true", "1.5", "[true]", "null"])
def test_json_values_that_are_no_labels_are_errors(value: str, tmp_path: Path) -> None:
    write(tmp_path, f'{{"path": "a", "labels": ["x"]}}\n{{"path": "b", "labels": {value}}}\n', "l.jsonl")
    with pytest.raises(DataError, match=r"l\.jsonl:2: labels (must be a list of texts|has no value)"):
        found(tmp_path, train="l.jsonl")


def test_lists_in_cells_of_a_csv_file_are_lists(tmp_path: Path) -> None:
    write(tmp_path, 'path,labels\na,[]\nb,"[""x"", ""y""]"\n')
    listing, notes = found(tmp_path)
    assert labels(listing) == {"a": LabelSet(), "b": LabelSet(("x", "y"))}
    assert notes == ["task: multilabel, because list.csv has a list of labels for each image"]
    write(tmp_path, 'path,labels\na,x\nb,"[""x"", ""y""]"\n')
    with pytest.raises(DataError, match="labels must be text, received"):
        found(tmp_path)


def test_one_class_per_image_reads_no_lists(tmp_path: Path) -> None:
    write(tmp_path, '{"path": "a", "label": "x"}\n{"path": "b", "label": ["x", "y"]}\n', "l.jsonl")
    with pytest.raises(DataError, match="label must be text, received") as caught:
        found(tmp_path, train="l.jsonl")
    assert "task: multilabel" in str(caught.value.hint)
    assert labels(found(tmp_path, train="l.jsonl", task="task: multilabel\n")[0])["a"] == LabelSet(("x",))
    with pytest.raises(
        ConfigError, match=r"task: classify is for one class per image, but data\.label_separator is ';'"
    ):
        found(tmp_path, "  label_separator: ';'\n", train="l.jsonl", task="task: classify\n")
    with pytest.raises(ConfigError, match=r"has nothing to separate: data\.columns\.label lists columns"):
        found(tmp_path, "  label_separator: ';'\n  columns: {label: [x]}\n", train="l.jsonl")


@pytest.mark.parametrize(
    "cells, hint",
    [
        (["red", "", "red;blurry"], "'red;blurry' look like several labels; if an image may have several labels or"),
        (["red", "", "red;blurry"], 'none, set data.label_separator: ";"'),
        (["red", " ", "red|x", "y"], 'set data.label_separator: "|"'),
        ([*[f"{a} {b}" for a in "abcde" for b in "abcde" if a < b], "a", ""], 'set data.label_separator: " "'),
        (["red", "", "blue"], "if an image may have no label, set task: multilabel"),
    ],
)
def test_the_error_of_an_image_without_a_class_names_the_separator(cells: list[str], hint: str, tmp_path: Path) -> None:
    write(tmp_path, "path,labels\n" + "".join(f"{index},{cell}\n" for index, cell in enumerate(cells)))
    line = 2 + [cell.strip() for cell in cells].index("")
    with pytest.raises(DataError, match=rf"list\.csv:{line}: labels must be text, received ' ?'") as caught:
        found(tmp_path)
    assert hint in str(caught.value.hint)


def test_folders_have_one_class_per_image(tmp_path: Path) -> None:
    touch(tmp_path, "images/a/1.jpg", "images/b/1.jpg")
    for train in ("images", "keras:mnist"):
        with pytest.raises(DataError, match="task: multilabel is for tables") as caught:
            found(tmp_path, train=train, task="task: multilabel\n")
        assert "or set task: classify" in str(caught.value.hint)
    write(tmp_path, "path,label\nx,a\ny,b\n")
    config = load(
        tmp_path / "config.yaml", [f"data.train={tmp_path / 'list.csv'}", f"data.validation={tmp_path / 'images'}"]
    )
    with pytest.raises(DataError, match="is a folder, which gives each image one class"):
        list_images(config.config.data, Reporter(), MULTILABEL)


@pytest.mark.parametrize("auxiliary", [{"unlabelled": "images"}, {"related": ["images"]}])
def test_auxiliary_images_are_refused_with_several_labels(auxiliary: dict[str, Any]) -> None:
    config = DataConfig(train="list.csv", **auxiliary)
    with pytest.raises(ConfigError, match=r"is used with task: classify alone, and this task is multilabel"):
        list_all(config, Reporter(), MULTILABEL)


def test_labels_that_look_alike_are_an_error_unless_they_are_expected(tmp_path: Path) -> None:
    write(tmp_path, "path,label\n1,Dog;cat\n2,dog\n3,dog;cat\n4,fish\n")
    listing, _ = found(tmp_path, "  label_separator: ';'\n")
    with pytest.raises(DataError) as caught:
        check_label_names(listing, None)
    assert "'Dog' (1 image) and 'dog' (2 images)" in caught.value.message
    check_label_names(listing, ExpectConfig(classes=["Dog", "dog"]))
    check_label_names(listed(tmp_path, "list.csv"), None)  # classes of one per image: a warning


@pytest.mark.parametrize("label", ["a\nb", "a\rb", "a\u2028b"])
def test_a_label_with_a_line_break_is_an_error(label: str, tmp_path: Path) -> None:
    write(tmp_path, f'path,label\n1,"{label}"\n2,cat\n')
    with pytest.raises(DataError, match="1 label with a line break: 'a"):
        check_label_names(listed(tmp_path, "list.csv"), None)


def test_forms_of_one_label_are_counted(tmp_path: Path) -> None:
    write(tmp_path, "path,label\n1,café\n2,cafe\u0301\n3,cafe\u0301\n4,tea\n")
    reporter = Listener()
    listed(tmp_path, "list.csv", reporter=reporter)
    [warning] = reporter.warnings
    assert "list.csv: 2 values with spaces around a label or letters in a decomposed Unicode form" in warning
