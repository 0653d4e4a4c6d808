from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from transfercli.data.image import InputImage
from transfercli.data.sources import inputs
from transfercli.data.sources.inputs import InputQueue, expand_inputs, read_names
from transfercli.errors import DataError


def found(*paths: str, listed: tuple[str, ...] = ()) -> list[InputImage]:
    return list(expand_inputs(paths, lambda: iter(listed)))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in (
        "b/2.png",
        "b/1.jpg",
        "b/deep/3.gif",
        "b/notes.txt",
        "b/photo.psd",
        "b/.hidden.png",
        "a.png",
        "[x].png",
    ):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_files_folders_and_patterns_keep_their_order(place: Path) -> None:
    paths = [one.path for one in found("a.png", "b", "b/*.jpg", "**/3.gif", "a.png")]
    assert paths == ["a.png", "b/1.jpg", "b/2.png", "b/photo.psd", "b/deep/3.gif", "b/1.jpg", "b/deep/3.gif", "a.png"]


def test_a_file_is_tried_whatever_it_is_called_and_images_that_are_not_read_are_told(place: Path) -> None:
    assert found("b/notes.txt") == [InputImage("b/notes.txt")]
    assert [one.problem for one in found("b") if one.path == "b/photo.psd"] == ["not read: extension '.psd'"]


def test_what_leads_to_nothing_is_told_in_its_place(place: Path) -> None:
    (place / "empty").mkdir()
    assert found("*.jpg", "empty", "no.png", "nul\0.png") == [
        InputImage("*.jpg", "no file matches this pattern"),
        InputImage("empty", "no image in this folder"),
        InputImage("no.png"),
        InputImage("nul\0.png"),
    ]


def test_a_file_called_like_a_pattern_is_itself_and_names_of_a_list_are_no_patterns(place: Path) -> None:
    assert found("[x].png") == [InputImage("[x].png")]
    assert found("-", listed=("*.png", "b/deep")) == [InputImage("*.png"), InputImage("b/deep/3.gif")]


def piped(content: bytes) -> list[str]:
    reader, writer = os.pipe()
    thread = threading.Thread(target=lambda: (os.write(writer, content), os.close(writer)))
    thread.start()
    try:
        return list(read_names(reader))
    finally:
        os.close(reader)
        thread.join()


@pytest.mark.parametrize(
    "content, expected",
    [
        (b"a.png\nb c.png\r\n\n  \nd.png", ["a.png", "b c.png", "d.png"]),
        (b"a\nb.png\0c.png\0", ["a\nb.png", "c.png"]),
        (b"", []),
        (b"\xe9.png\n", ["\udce9.png"]),
    ],
)
def test_a_list_has_a_name_a_line_or_nul_between_names(content: bytes, expected: list[str]) -> None:
    assert piped(content) == expected


def test_between_nuls_a_name_is_taken_as_it_stands() -> None:
    assert piped(b"a\r\0 \0\0b\nc\r\0d\r") == ["a\r", " ", "b\nc\r", "d\r"]


def test_a_list_without_an_end_of_line_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "MAX_NAME_BYTES", 1000)
    with pytest.raises(DataError, match="a name that is too long"):
        piped(b"x" * 5000)


def test_a_feed_gives_what_is_there_and_then_says_that_it_is_over() -> None:
    go = threading.Event()

    def slow() -> Iterator[InputImage]:
        yield InputImage("1")
        yield InputImage("2")
        assert go.wait(20)
        yield InputImage("3")

    feed = InputQueue(slow())
    taken: list[InputImage] = []
    while len(taken) < 2:
        taken += feed.take(8, 1)
    assert (feed.take(8, 0), feed.exhausted) == ([], False)
    go.set()
    while not feed.exhausted:
        taken += feed.take(8, 1)
    assert [one.path for one in taken] == ["1", "2", "3"]


def test_what_goes_wrong_while_names_are_read_is_raised_where_they_are_taken() -> None:
    def broken() -> Iterator[InputImage]:
        yield InputImage("1")
        raise DataError("no more")

    feed = InputQueue(broken())
    with pytest.raises(DataError, match="no more"):
        list(iter(lambda: feed.take(8, 1), []))
