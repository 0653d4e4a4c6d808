"""What the strict YAML reader takes for what, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest

from transfercli.config.locations import UnreadableError
from transfercli.config.strict_yaml import MAX_BYTES, parse


def value(text: str) -> Any:
    document = parse(f"key: {text}\n", "f.yaml")
    assert document.problems == []
    return document.value["key"]


def problems(text: str | bytes) -> list[str]:
    try:
        return [str(problem) for problem in parse(text, "f.yaml").problems]
    except UnreadableError as error:
        return [str(error.problem)]


@pytest.mark.parametrize(
    "text, expected",
    [
        ("1e-4", 1e-4), ("1E3", 1000.0), ("1.5e-3", 1.5e-3), (".5", 0.5), ("5.", 5.0), ("-0.1", -0.1), ("+1e+2", 100.0),
        ("12", 12), ("-3", -3), ("+3", 3), ("017", 17), ("0o17", 15), ("0x1F", 31),
    ],
)  # fmt: skip
def test_numbers_are_those_of_yaml_1_2(text: str, expected: float) -> None:
    assert value(text) == expected
    assert type(value(text)) is type(expected)


@pytest.mark.parametrize(
    "text",
    ["no", "yes", "on", "off", "y", "n", "No", "tRue", "2026-01-01", "12:30", "1:30:00", "1_000", "0b101", "nan", "inf",
     "1e", "e5", "1.2.3", "20261124-120000-abcdef", "=", "keras:cifar10", "1 000"],
)  # fmt: skip
def test_what_only_other_yamls_take_for_something_else_is_text(text: str) -> None:
    assert value(text) == text


@pytest.mark.parametrize("text", ["'1e-4'", '"true"', "'null'", "'no'", '"12"'])
def test_what_stands_in_quotes_is_text(text: str) -> None:
    assert value(text) == text[1:-1]


@pytest.mark.parametrize("text, expected", [("true", True), ("TRUE", True), ("False", False)])
def test_true_and_false_are_the_only_booleans(text: str, expected: bool) -> None:
    assert value(text) is expected


@pytest.mark.parametrize("text", ["null", "~", "Null", "NULL", ""])
def test_nulls(text: str) -> None:
    assert value(text) is None


def test_keys_are_text_as_written() -> None:
    assert parse("0: a\nno: b\n1e-4: c\n2026-01-01: d\n", "f").value == {
        "0": "a", "no": "b", "1e-4": "c", "2026-01-01": "d",
    }  # fmt: skip


@pytest.mark.parametrize("text", [".nan", ".NaN", ".inf", "-.Inf", "1e999", "-1e999"])
def test_what_is_not_finite_is_refused(text: str) -> None:
    assert problems(f"a: 1\nkey: {text}\n") == [f"f.yaml:2: key: must be a finite number, received {text}"]


@pytest.mark.parametrize("text", ["9" * 30, "0x" + "f" * 20, "-" + "9" * 5000])
def test_a_number_that_fits_no_machine_is_refused(text: str) -> None:
    assert "the number is too large" in problems(f"key: {text}\n")[0]


def test_a_duplicate_key_is_told_with_both_lines() -> None:
    assert problems("a:\n  b: 1\n  c: 2\n  b: 3\n") == ["f.yaml:4: a.b: the key is given twice, in lines 2 and 4"]


def test_keys_that_read_the_same_are_duplicates() -> None:
    assert problems("1: a\n'1': b\n") == ["f.yaml:2: 1: the key is given twice, in lines 1 and 2"]


def test_lesser_errors_are_told_all_at_once() -> None:
    text = "a: &x 1\nb: *x\nc: !!python/name:os.system x\n<<: {d: 1}\ne: 1\ne: 2\n? [1]\n: 2\n"
    found = problems(text)
    assert [line.split(": ")[0] for line in found] == [f"f.yaml:{n}" for n in (1, 2, 3, 4, 6, 7)]
    for line, part in zip(
        found, ["anchor &x", "alias *x", "tag !!python", "merge key", "twice", "a list"], strict=True
    ):
        assert part in line


@pytest.mark.parametrize("tag", ["!!str", "!!int", "!mine", "!", "!!binary", "!!python/object/apply:os.system"])
def test_every_tag_is_refused(tag: str) -> None:
    assert "tag" in problems(f"a: {tag} '1'\n")[0]


@pytest.mark.parametrize("text, found", [("", "nothing"), ("# x\n", "nothing"), ("- 1\n", "a list"), ("x", "a single")])
def test_the_top_level_is_a_mapping(text: str, found: str) -> None:
    assert f"holds {found}" in problems(text)[0]


@pytest.mark.parametrize(
    "text, line, said",
    [
        ("a: 1\n---\nb: 1\n", 2, "one file is one experiment"),
        ("a:\n\tb: 1\n", 2, "use spaces"),
        ("a: 1\nb: >=0.9\n", 2, "must be in quotes"),
        ("a: 1\nb: @x\n", 2, "must be in quotes"),
        ("a: b: c\n", 1, "put text with ': ' in quotes"),
        ("a: [1, 2\nb: 3\n", 2, "closing bracket"),
        ("a: 'x\n", 2, "not closed"),
        ("a: {b: 1\n", 2, "closing bracket"),
        ("a: 1\n b: 2\n", 2, "indentation"),
        ("a: 1\nb\nc: 2\n", 3, "without ': '"),
    ],
)
def test_syntax_errors_are_told_with_their_line_and_a_way_out(text: str, line: int, said: str) -> None:
    (found,) = problems(text)
    assert found.startswith(f"f.yaml:{line}: is not valid YAML: ")
    assert said in found


def test_text_that_is_not_utf_8_is_told_with_its_line() -> None:
    assert problems(b"a: 1\nb: caf\xe9\n") == ["f.yaml:2: is not UTF-8: byte 0xe9; save it as UTF-8"]


@pytest.mark.parametrize("character", ["\x00", "\x07", "\x1b", "\x7f", "\x85", "\u2028"])
def test_control_characters_are_refused(character: str) -> None:
    assert "f.yaml:2: holds the control character U+" in problems(f"a: 1\nb: x{character}\n")[0]


@pytest.mark.parametrize("escape", [r"\0", r"\x1b", r"\ud800", r"\UFFFFFFFF", r"\U00110000"])
def test_escapes_cannot_bring_them_in(escape: str) -> None:
    assert len(problems(f'a: 1\nb: "x{escape}y"\n')) == 1
    assert len(problems(f'a: 1\n"x{escape}y": 1\n')) == 1


def test_a_byte_order_mark_and_windows_line_ends_are_read() -> None:
    assert parse("\ufeffa: 1\r\nb: é😀\r\n".encode(), "f").value == {"a": 1, "b": "é😀"}


def test_a_large_file_is_refused_before_it_is_parsed() -> None:
    assert "larger than 64 KiB" in problems("a: " + "x" * MAX_BYTES)[0]


def test_deep_nesting_is_refused() -> None:
    assert problems("{a: " * 9 + "1" + "}" * 9) == []
    assert "deeper than 10 levels" in problems("{a: " * 11 + "1" + "}" * 11)[0]
    assert "deeper than 10 levels" in problems("a: " + "[" * 30000)[0]


def test_every_key_and_value_has_its_place() -> None:
    places = parse("a:\n  b: 1\n  c: [x, {d: 2}]\n", "f.yaml").places
    spots = {
        path: (place.key.line, place.key.column, place.value.line, place.value.column) for path, place in places.items()
    }
    assert spots == {
        (): (1, 1, 1, 1),
        ("a",): (1, 1, 2, 3),
        ("a", "b"): (2, 3, 2, 6),
        ("a", "c"): (3, 3, 3, 6),
        ("a", "c", 0): (3, 7, 3, 7),
        ("a", "c", 1): (3, 10, 3, 10),
        ("a", "c", 1, "d"): (3, 11, 3, 14),
    }
