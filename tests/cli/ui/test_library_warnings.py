"""Warnings of libraries: counted, reported once, without paths."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from transfercli.cli.ui.library_warnings import counted_warnings
from transfercli.reporting import Reporter


class Warned(Reporter):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def warning(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture
def reporter(monkeypatch: pytest.MonkeyPatch) -> Warned:
    monkeypatch.setattr(sys, "warnoptions", [])
    return Warned()


def test_a_warning_is_reported_once_with_its_count_and_without_paths(reporter: Warned, capsys) -> None:
    with counted_warnings(reporter, verbose=False):
        for size in (100, 200, 300):
            warnings.warn(f"image of {size} pixels in /home/somebody/secret/a.png", UserWarning, stacklevel=1)
        warnings.warn("another\n  one", RuntimeWarning, stacklevel=1)
        assert reporter.lines == []
    assert reporter.lines == [
        "UserWarning: image of 100 pixels in …/a.png (3 times)",
        "RuntimeWarning: another one",
    ]
    assert capsys.readouterr().err == ""


def test_warnings_for_programmers_are_for_verbose_only(reporter: Warned) -> None:
    for verbose in (False, True):
        with counted_warnings(reporter, verbose=verbose):
            warnings.warn("old", DeprecationWarning, stacklevel=1)
    assert reporter.lines == ["DeprecationWarning: old"]


def test_they_are_reported_also_if_the_command_fails_and_only_the_most_frequent(reporter: Warned) -> None:
    def fail() -> None:
        for letter in "aabcdefg":
            warnings.warn(letter, UserWarning, stacklevel=1)
        raise OSError("broken")

    with pytest.raises(OSError, match="broken"), counted_warnings(reporter, verbose=False):
        fail()
    assert reporter.lines[0] == "UserWarning: a (2 times)"
    assert reporter.lines[-1] == "2 more kinds of warnings from libraries"
    assert len(reporter.lines) == 6


def test_filters_of_the_user_hold(reporter: Warned, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "warnoptions", ["error"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning), counted_warnings(reporter, verbose=False):
            warnings.warn("now", UserWarning, stacklevel=1)


def test_a_large_picture_is_no_warning_of_a_library(tmp_path: Path) -> None:
    """Pillow would warn of more than 89 megapixels as soon as it opens a file; `data.max_megapixels` is the limit."""
    from PIL import Image

    for label in ("a", "b"):
        (tmp_path / "images" / label).mkdir(parents=True)
        for number in range(6):
            side = 10_000 if number < 2 else 10
            Image.new("1", (side, side), number % 2).save(tmp_path / "images" / label / f"{number}.png")
    command = [sys.executable, "-m", "transfercli", "config", "init", "--data", str(tmp_path / "images"), "--quiet"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
