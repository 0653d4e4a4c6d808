from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from transfercli.data.image import Named
from transfercli.data.sources import inputs
from transfercli.data.sources.inputs import Feed, named_images, names_on
from transfercli.errors import DataError


def found(*paths: str, listed: tuple[str, ...] = ()) -> list[Named]:
    return list(named_images(paths, lambda: iter(listed)))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in (
        "b/2.png",
        "b/1.jpg",
        "b/deep/3.gif",
        "b/notes.txt",
        "b/photo.heic",
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
    assert paths == ["a.png", "b/1.jpg", "b/2.png", "b/photo.heic", "b/deep/3.gif", "b/1.jpg", "b/deep/3.gif", "a.png"]


def test_a_file_is_tried_whatever_it_is_called_and_images_that_are_not_read_are_told(place: Path) -> None:
    assert found("b/notes.txt") == [Named("b/notes.txt")]
    assert [one.problem for one in found("b") if one.path == "b/photo.heic"] == ["not read: extension '.heic'"]


def test_what_leads_to_nothing_is_told_in_its_place(place: Path) -> None:
    (place / "empty").mkdir()
    assert found("*.jpg", "empty", "no.png", "nul\0.png") == [
        Named("*.jpg", "no file matches this pattern"),
        Named("empty", "no image in this folder"),
        Named("no.png"),
        Named("nul\0.png"),
    ]


def test_a_file_called_like_a_pattern_is_itself_and_names_of_a_list_are_no_patterns(place: Path) -> None:
    assert found("[x].png") == [Named("[x].png")]
    assert found("-", listed=("*.png", "b/deep")) == [Named("*.png"), Named("b/deep/3.gif")]


def piped(content: bytes) -> list[str]:
    reader, writer = os.pipe()
    thread = threading.Thread(target=lambda: (os.write(writer, content), os.close(writer)))
    thread.start()
    try:
        return list(names_on(reader))
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
    with pytest.raises(DataError, match="a name without an end"):
        piped(b"x" * 5000)


def test_a_feed_gives_what_is_there_and_then_says_that_it_is_over() -> None:
    go = threading.Event()

    def slow() -> Iterator[Named]:
        yield Named("1")
        yield Named("2")
        assert go.wait(20)
        yield Named("3")

    feed = Feed(slow())
    taken: list[Named] = []
    while len(taken) < 2:
        taken += feed.take(8, 1)
    assert (feed.take(8, 0), feed.over) == ([], False)
    go.set()
    while not feed.over:
        taken += feed.take(8, 1)
    assert [one.path for one in taken] == ["1", "2", "3"]


def test_what_goes_wrong_while_names_are_read_is_raised_where_they_are_taken() -> None:
    def broken() -> Iterator[Named]:
        yield Named("1")
        raise DataError("no more")

    feed = Feed(broken())
    with pytest.raises(DataError, match="no more"):
        list(iter(lambda: feed.take(8, 1), []))
