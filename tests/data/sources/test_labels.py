"""Class names that are one, or look like one."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from tests.data.sources.listings import listed, touch
from tests.listener import Listener
from transfercli.data.sources.labels import find_label, look_alikes, names_of_stored, normalised_label, shown
from transfercli.errors import DataError

COMPOSED, DECOMPOSED = (unicodedata.normalize(form, "caf\u00e9") for form in ("NFC", "NFD"))


def test_spaces_and_the_form_of_unicode_make_no_other_class(tmp_path: Path) -> None:
    touch(tmp_path / "images", "dog/1.jpg", "dog /2.jpg", f"{COMPOSED}/1.jpg", f"{DECOMPOSED}/2.jpg")
    reporter = Listener()
    found = listed(tmp_path, reporter=reporter)
    assert {item.label for item in found.items} == {COMPOSED, "dog"}
    assert "2 class folders with spaces around the name" in reporter.warnings[0]


def test_the_labels_of_a_table_are_stripped_and_composed(tmp_path: Path) -> None:
    rows = [("1.jpg", "dog "), ("2.jpg", "dog"), ("3.jpg", DECOMPOSED), ("4.jpg", f" {COMPOSED}")]
    text = "path,label\n" + "".join(f"{path},{label}\n" for path, label in rows)
    (tmp_path / "list.csv").write_text(text, encoding="utf-8")
    touch(tmp_path, "1.jpg", "2.jpg", "3.jpg", "4.jpg")
    assert [item.label for item in listed(tmp_path, "list.csv").items] == ["dog", "dog", COMPOSED, COMPOSED]
    (tmp_path / "list.csv").write_text("path,label\n1.jpg,  \n")
    with pytest.raises(DataError, match=r"list.csv:2: label must be text"):
        listed(tmp_path, "list.csv")


def test_splits_in_two_forms_of_unicode_have_the_same_classes(tmp_path: Path) -> None:
    touch(
        tmp_path / "images", f"train/{COMPOSED}/1.jpg", "train/red/1.jpg", f"test/{DECOMPOSED}/1.jpg", "test/red/1.jpg"
    )
    reporter = Listener()
    assert len(listed(tmp_path, reporter=reporter).items) == 4
    assert f"'{DECOMPOSED}' (U+0063 U+0061 U+0066 U+0065 U+0301), which is class '{COMPOSED}'" in reporter.warnings[0]


@pytest.mark.parametrize(
    "names",
    [
        ("Cat", "cat"),
        ("ice cream", "ice  cream"),
        ("stop", "st\u043ep"),
        ("zero", "ze\u200bro"),
        ("stra\u00dfe", "STRASSE"),
        ("\uff23\uff21\uff34", "cat"),
    ],
)
def test_classes_that_differ_in_what_nobody_sees_are_a_warning(names: tuple[str, str], tmp_path: Path) -> None:
    touch(tmp_path / "images", *(f"{name}/1.jpg" for name in names), "other/1.jpg")
    reporter = Listener()
    assert len(listed(tmp_path, reporter=reporter).labels_of("train")) == 3
    assert look_alikes([*names, "other"]) == [sorted(names)]
    [warning] = reporter.warnings
    assert "if they are one class, give them one name" in warning


def test_equal_glyphs_are_shown_with_their_code_points(tmp_path: Path) -> None:
    latin, cyrillic = "stop", "st\u043ep"
    assert shown(latin, [cyrillic]) == "'stop' (U+0073 U+0074 U+006F U+0070)"
    assert shown("stop", ["Stop", "stop"]) == "'stop'"
    touch(tmp_path / "images", f"train/{latin}/1.jpg", "train/go/1.jpg", f"test/{cyrillic}/1.jpg")
    with pytest.raises(DataError, match=r"U\+0073 U\+0074 U\+043E U\+0070.*known are 'go', 'stop' \(U\+0073"):
        listed(tmp_path)


def test_a_class_that_is_only_spaces_is_refused(tmp_path: Path) -> None:
    touch(tmp_path / "images", " /1.jpg", "b/1.jpg")
    with pytest.raises(DataError, match="only spaces as its name"):
        listed(tmp_path)
    assert normalised_label("  a b ") == "a b"


def test_stored_names_are_normalised_unless_two_classes_would_become_one() -> None:
    assert names_of_stored([DECOMPOSED, "the ", "dog", "the "]) == {DECOMPOSED: COMPOSED, "the ": "the", "dog": "dog"}
    assert names_of_stored([DECOMPOSED, COMPOSED, "the "]) == {
        DECOMPOSED: DECOMPOSED,
        COMPOSED: COMPOSED,
        "the ": "the",
    }
    assert names_of_stored([" ", "dog"]) == {" ": " ", "dog": "dog"}


def test_a_class_is_found_by_its_exact_name_before_the_normalised_one() -> None:
    assert find_label(DECOMPOSED, [COMPOSED]) == find_label(f"{COMPOSED} ", [COMPOSED]) == COMPOSED
    assert find_label(DECOMPOSED, [COMPOSED, DECOMPOSED]) == DECOMPOSED
    assert find_label("cafe", [COMPOSED]) is None
