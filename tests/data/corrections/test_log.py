"""The log of label decisions: what is appended is read back, whatever was cut short, and damage is named."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from transfercli.data.corrections.log import HEADER, Decision, append_decisions, read_log
from transfercli.errors import DataError

SHA = "ab" * 32
WHEN = "2026-11-29T08:21:07Z"
FIRST, SECOND = Decision("a.png", SHA, "cat", "dog", "Ann", WHEN), Decision("b.png", SHA, "dog", "dog", "", "")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "corrections.csv"


def decisions(path: Path) -> list[Decision]:
    found = read_log(path)
    assert found is not None
    return list(found.decisions)


def test_a_file_that_does_not_exist_yet_is_no_log(log: Path) -> None:
    assert read_log(log) is None


def test_decisions_are_read_back_in_their_order(log: Path) -> None:
    append_decisions(log, [FIRST])
    append_decisions(log, [SECOND, FIRST])
    assert decisions(log) == [FIRST, SECOND, FIRST]
    assert log.read_bytes() == HEADER + (
        f"a.png,{SHA},cat,dog,Ann,{WHEN}\nb.png,{SHA},dog,dog,,\na.png,{SHA},cat,dog,Ann,{WHEN}\n".encode()
    )


@pytest.mark.parametrize(
    "path", ["a,b.png", 'a "quoted" name.png', "two\nlines.png", "carriage\rreturn.png", os.fsdecode(b"\xff.png")]
)
def test_hostile_names_survive(log: Path, path: str) -> None:
    hostile = Decision(path, SHA, "=cmd|' /C calc'!A0", '["a, b", "+1"]', "@SUM(1)", WHEN)
    append_decisions(log, [hostile])
    append_decisions(log, [FIRST])
    assert decisions(log) == [hostile, FIRST]


def test_a_row_cut_short_at_any_byte_is_left_out_and_mended_by_the_next(log: Path) -> None:
    append_decisions(log, [FIRST])
    whole = log.stat().st_size
    torn = Decision("x,y.png", SHA, "cat", "bird", "Ann", "")
    append_decisions(log, [replace(torn, when=WHEN)])
    content = log.read_bytes()
    for size in range(whole, len(content) - 1):
        log.write_bytes(content[:size])
        found = read_log(log)
        assert found is not None
        complete = [torn] if content[:size].endswith(b"Ann,") else []  # all but the time of the decision
        assert list(found.decisions) == [FIRST, *complete]
        assert found.torn == (size > whole and not complete)
        append_decisions(log, [SECOND])
        assert decisions(log) == [FIRST, *complete, SECOND]


def test_a_header_cut_short_is_mended(log: Path) -> None:
    log.write_bytes(HEADER[:9])
    assert decisions(log) == []
    append_decisions(log, [FIRST])
    assert log.read_bytes().startswith(HEADER + b"a.png,")


def test_an_editor_may_leave_the_last_line_end_out_and_write_a_byte_order_mark(log: Path) -> None:
    log.write_bytes(b"\xef\xbb\xbf" + HEADER + f"a.png,{SHA},cat,dog,Ann,{WHEN}".encode())
    assert decisions(log) == [FIRST]
    append_decisions(log, [SECOND])
    assert decisions(log) == [FIRST, SECOND]


@pytest.mark.parametrize(
    "row, reason",
    [
        (f"a.png,{SHA},cat,dog", "a row of 4 values"),
        ("a.png,ABC,cat,dog,,", "'ABC' is not a SHA-256"),
        (f",{SHA},cat,dog,,", "the path is empty"),
        (f'a.png,{SHA},cat,"d\nog",,', "new is 'd"),
        (f"a.png,{SHA},cat,d\0og,,", "new is 'd"),
        (f"a.png,{SHA},cat,dog,,yesterday", "expected a time in UTC"),
        (f"a.png,{SHA},{'x' * 200_000},dog,,", "field larger than"),
        (f'a.png,{SHA},"cat,dog,,', "a quote is opened and never closed"),
    ],
)
def test_damage_is_named_with_its_line(log: Path, row: str, reason: str) -> None:
    log.write_bytes(HEADER + f"b.png,{SHA},dog,dog,,\n{row}\na.png,{SHA},cat,dog,,\n".encode())
    with pytest.raises(DataError, match=r"corrections.csv:\d+: ") as caught:
        read_log(log)
    assert reason in caught.value.message


def test_other_columns_are_refused(log: Path) -> None:
    log.write_text("path,label\na.png,cat\n")
    with pytest.raises(DataError, match="path,sha256,old,new,who,when"):
        read_log(log)


def test_decisions_are_never_added_behind_a_quote_that_swallows_rows(log: Path) -> None:
    log.write_bytes(content := HEADER + f'a.png,{SHA},"cat,dog,,\nb.png,{SHA},dog,dog,,\n'.encode())
    with pytest.raises(DataError, match="never closed"):
        append_decisions(log, [FIRST])
    assert log.read_bytes() == content


def test_a_decision_that_would_not_be_read_back_is_refused(log: Path) -> None:
    with pytest.raises(DataError, match="cannot be stored"):
        append_decisions(log, [Decision("a.png", SHA, "cat", "two\nlines")])
    assert not log.exists()


def test_a_pipe_is_no_log_and_blocks_nobody(log: Path) -> None:
    os.mkfifo(log)
    for use in (lambda: read_log(log), lambda: append_decisions(log, [FIRST])):
        with pytest.raises(DataError, match="not a regular file"):
            use()


def test_reviewers_who_decide_at_once_lose_nothing(log: Path) -> None:
    made = [[Decision(f"{who}/{n}.png", SHA, "cat", "dog", f"r{who}", WHEN) for n in range(40)] for who in range(4)]

    def decide(own: list[Decision]) -> None:
        for decision in own:
            append_decisions(log, [decision])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(decide, made))
    found = decisions(log)
    assert [[one for one in found if one.who == f"r{who}"] for who in range(4)] == made


@pytest.mark.parametrize(
    "content",
    [
        b"one line of notes",
        b'{"a": 1}',
        "path,sha256".encode("utf-16"),
        HEADER.replace(b"\n", b"\r") + b"a/1.png," + b"a" * 64 + b",x,y,Ann,\r",
        b"notes\nof two lines\n",
        b"\n",
    ],
)
def test_another_file_is_refused_and_never_written_to(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "log.csv"
    path.write_bytes(content)
    with pytest.raises(DataError):
        read_log(path)
    with pytest.raises(DataError):
        append_decisions(path, [Decision("a/1.png", "a" * 64, "x", "y")])
    assert path.read_bytes() == content
