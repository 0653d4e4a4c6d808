"""The history of a run: one line an epoch."""

from __future__ import annotations

from pathlib import Path

import pytest

from transfercli.errors import ArtefactError
from transfercli.training import history

LINES = [{"epoch": epoch, "loss": 1 / epoch} for epoch in (1, 2, 3)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    for line in LINES:
        history.append(tmp_path / "metrics.jsonl", line)
    return tmp_path / "metrics.jsonl"


def test_lines_come_back_in_their_order_and_a_missing_file_has_none(path: Path) -> None:
    assert history.read(path) == LINES
    assert history.read(path.with_name("gone")) == []


def test_a_line_that_a_kill_cut_short_is_left_out(path: Path) -> None:
    with path.open("a") as file:
        file.write('{"epoch": 4, "lo')
    assert history.read(path) == LINES


@pytest.mark.parametrize("line", ["[]", "{}", '{"epoch": "4"}'])
def test_a_line_without_an_epoch_is_an_artefact_error(path: Path, line: str) -> None:
    with path.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(ArtefactError, match="a line that is not an epoch"):
        history.read(path)


def test_a_history_is_rewound_to_the_line_of_a_checkpoint(path: Path) -> None:
    history.rewind(path, LINES[1])
    assert history.read(path) == LINES[:2]
    history.rewind(path, LINES[2])  # a kill came between the checkpoint and its line
    assert history.read(path) == LINES
    history.rewind(path, None)
    assert history.read(path) == []


def test_a_history_that_ends_where_it_should_is_not_written_again(path: Path) -> None:
    before = path.stat().st_mtime_ns, path.stat().st_ino
    history.rewind(path, LINES[2])
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == before
