from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from transfercli.errors import UsageError
from transfercli.runs.output_paths import check_output_file, check_output_folder


def test_a_file_may_be_new_or_replaced(tmp_path: Path) -> None:
    check_output_file(tmp_path / "new.html", "--report")
    (tmp_path / "old.html").write_text("x")
    check_output_file(tmp_path / "old.html", "--report")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["old.html"]


@pytest.mark.parametrize(
    "name, told",
    [
        ("", "names a file; received the folder"),
        ("gone/a.html", "does not exist"),
        ("file/a.html", "is not a folder"),
        ("x" * 300, "File name too long"),
    ],
)
def test_a_file_that_could_not_be_written_is_refused(tmp_path: Path, name: str, told: str) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match=told):
        check_output_file(tmp_path / name, "--report")


@pytest.mark.parametrize(
    "make", [os.mkfifo, lambda path: path.symlink_to("file"), lambda path: path.symlink_to("gone")]
)
def test_what_a_file_would_replace_must_be_a_file(tmp_path: Path, make: Callable[[Path], None]) -> None:
    (tmp_path / "file").write_text("x")
    make(tmp_path / "a")
    with pytest.raises(UsageError, match=r"names a file; received .*, a device, a pipe or a link"):
        check_output_file(tmp_path / "a", "--report")


def test_a_file_of_a_run_is_not_replaced(tmp_path: Path) -> None:
    best = tmp_path / "digits" / "first" / "checkpoints" / "best"
    best.mkdir(parents=True)
    (tmp_path / "digits" / "first" / "run.json").write_text("{}")
    (tmp_path / "digits" / "latest").symlink_to("first")
    (best / "model.safetensors").write_text("x")
    for folder in (best, tmp_path / "digits" / "latest" / "checkpoints" / "best"):
        for name in ("model.safetensors", "new.npz"):
            with pytest.raises(UsageError, match="in the folder of the run digits/first"):
                check_output_file(folder / name, "-o")
    check_output_file(tmp_path / "digits" / "a.npz", "-o")


def test_a_folder_may_be_there_or_missing_with_those_above(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in (tmp_path, tmp_path / "a" / "b", Path("a/b")):
        check_output_folder(folder, "--report")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["file", "file/below", "link"])
def test_a_folder_that_could_not_be_made_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(UsageError, match=r"--report '.*': '.*' (is not a folder|does not exist)"):
        check_output_folder(tmp_path / name, "--report")


@pytest.mark.parametrize("check", [check_output_file, check_output_folder])
def test_a_place_that_may_not_be_written_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, check: object
) -> None:
    monkeypatch.setattr("os.access", lambda _place, _mode: False)  # the tests may run as root, who may write anywhere
    with pytest.raises(UsageError, match="is not writable"):
        check(tmp_path / "x", "--report")  # type: ignore[operator]


@pytest.mark.parametrize("check", [check_output_file, check_output_folder])
@pytest.mark.parametrize("path", ["/proc/x", "/proc/self/fd/x", "/sys/x"])
def test_a_place_in_the_file_systems_of_the_kernel_is_refused(check: Callable[[Path, str], None], path: str) -> None:
    if not Path(path).parent.is_dir():
        pytest.skip(f"there is no {Path(path).parent}")
    with pytest.raises(UsageError, match=f"--out '{path}': '.*' is not writable"):
        check(Path(path), "--out")
