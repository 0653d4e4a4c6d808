"""Class folders of `predict --sort-into`: their names, what is placed there, and what never is."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile  # noqa: TID251 - to make one
from pathlib import Path
from typing import Any

import pytest

from transfercli.errors import UsageError
from transfercli.reporting import Reporter
from transfercli.workflows.predict.class_folders import folder_of, folders_of
from transfercli.workflows.predict.outputs import with_outputs
from transfercli.workflows.predict.placing import Source, put
from transfercli.workflows.predict.predict import Prediction, Predictions, PredictRequest
from transfercli.workflows.predict.sorting import sort_into

HOSTILE = [
    "..",
    ".",
    "",
    "a/b",
    "/etc",
    "a\\b",
    "_abstained",
    "a\0b",
    "con",
    "LPT1.txt",
    "%2F",
    "x.",
    " y",
    "ü" * 300,
    "\ud800",
]


def sorted_into(folder: Path, answers: list[Prediction], how: Any = "link", **facts: Any) -> list[str]:
    said: list[str] = []
    predictions = Predictions(("cat", "dog"), 2, iter(answers), **facts)
    request = PredictRequest("run", Path("runs"), tuple(answer.path for answer in answers))
    output = sort_into(folder, predictions, request, how, Reporter(), said.append)
    assert list(with_outputs(predictions, [output]).answers) == answers
    return said


def placed(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def cat(path: Path, **facts: Any) -> Prediction:
    return Prediction(str(path), (("cat", 0.9), ("dog", 0.1)), **facts)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photos" / "one.jpg"
    path.parent.mkdir()
    path.write_bytes(b"one")
    return path


def test_no_label_leads_out_of_the_folder_or_shares_one_with_another() -> None:
    folders = [folder_of(label) for label in HOSTILE]
    assert len(set(folders)) == len(HOSTILE)
    for name in folders:
        assert name not in ("", ".", "..")
        assert "/" not in name
        assert not name.startswith(("_", "."))
        assert len(os.fsencode(name)) <= 255


def test_a_usual_label_is_the_name_of_its_folder() -> None:
    assert [folder_of(label) for label in ("cat", "Grüne Äpfel", "type-1.5", "猫")] == [
        "cat",
        "Grüne Äpfel",
        "type-1.5",
        "猫",
    ]


def test_an_image_goes_to_its_class_or_to_those_of_its_labels_or_to_a_folder_of_doubt() -> None:
    several = {"answered": (("cat", 0.9), ("dog", 0.8))}
    assert [list(folders_of(each)) for each in (
        cat(Path("a")),
        cat(Path("a"), abstained=True),
        cat(Path("a"), **several),
        cat(Path("a"), abstained=True, **several),
        cat(Path("a"), answered=()),
        Prediction("a", error="truncated"),
    )] == [["cat"], ["_abstained"], ["cat", "dog"], ["_abstained"], ["_no_label"], ["_unreadable"]]  # fmt: skip


@pytest.mark.parametrize("how", ["link", "hardlink", "copy"])
def test_images_are_placed_and_stay_as_they_are(photo: Path, tmp_path: Path, how: str) -> None:
    before = photo.stat()
    out = tmp_path / "out"
    said = sorted_into(out, [cat(photo)], how)
    assert placed(out) == {"cat/one.jpg": b"one"}
    place = out / "cat" / "one.jpg"
    assert place.is_symlink() == (how == "link")
    assert place.stat().st_mtime_ns == before.st_mtime_ns
    assert (place.stat().st_ino == before.st_ino) == (how != "copy")
    assert photo.stat().st_mtime_ns == before.st_mtime_ns
    assert said == [f"sorted into {out}: 1 image in 1 class"]


def test_links_are_relative_so_that_the_folders_can_move_together(photo: Path, tmp_path: Path) -> None:
    sorted_into(tmp_path / "out", [cat(photo)])
    assert (tmp_path / "out/cat/one.jpg").readlink() == Path("../../photos/one.jpg")


@pytest.mark.parametrize("how", ["link", "hardlink", "copy"])
def test_a_second_time_adds_nothing(photo: Path, tmp_path: Path, how: str) -> None:
    out = tmp_path / "out"
    sorted_into(out, [cat(photo)], how)
    first = {path: path.lstat().st_mtime_ns for path in out.rglob("*")}
    said = sorted_into(out, [cat(photo)], how)
    assert {path: path.lstat().st_mtime_ns for path in out.rglob("*")} == first
    assert said[0].endswith("1 of them were there already")


@pytest.mark.parametrize("how", ["link", "copy"])
def test_equal_names_get_a_part_of_their_content_and_nothing_is_replaced(photo: Path, tmp_path: Path, how: str) -> None:
    other = tmp_path / "more" / "one.jpg"
    other.parent.mkdir()
    other.write_bytes(b"two")
    out = tmp_path / "out"
    for _ in range(2):
        sorted_into(out, [cat(photo), cat(other)], how)
        assert sorted(placed(out).values()) == [b"one", b"two"]
    sorted_into(out, [cat(other), cat(photo)], how)
    assert placed(out) == {"cat/one.jpg": b"one", "cat/one-3fc4ccfe.jpg": b"two"}


def test_a_file_of_the_user_in_the_folder_is_never_replaced(photo: Path, tmp_path: Path) -> None:
    place = tmp_path / "out" / "cat" / "one.jpg"
    place.parent.mkdir(parents=True)
    place.write_bytes(b"mine")
    sorted_into(tmp_path / "out", [cat(photo)], "copy")
    assert place.read_bytes() == b"mine"
    assert sorted(placed(tmp_path / "out").values()) == [b"mine", b"one"]


def test_a_class_folder_that_is_a_link_out_of_the_folder_is_refused(photo: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "cat").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="is a link or a file"):
        sorted_into(tmp_path / "out", [cat(photo)])
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_what_is_not_there_is_not_sorted_and_what_is_damaged_is(photo: Path, tmp_path: Path) -> None:
    gone = Prediction(str(tmp_path / "gone.jpg"), error="does not exist")
    sorted_into(tmp_path / "out", [gone, Prediction(str(photo), error="truncated")])
    assert placed(tmp_path / "out") == {"_unreadable/one.jpg": b"one"}


@pytest.mark.parametrize("inside", ["photos/sorted", "."])
def test_a_folder_of_images_and_the_sorted_ones_are_kept_apart(photo: Path, tmp_path: Path, inside: str) -> None:
    predictions = Predictions(("cat", "dog"), 2, iter(()))
    request = PredictRequest("run", Path("runs"), (str(photo.parent),))
    with pytest.raises(UsageError, match="predicted again"):
        sort_into(tmp_path / inside, predictions, request, "link", Reporter(), print)


def test_numbers_are_refused(photo: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="gives an image a number"):
        sorted_into(tmp_path / "out", [Prediction(str(photo), value=1.0)], has_numbers=True)


def test_an_image_in_an_archive_is_copied(photo: Path, tmp_path: Path) -> None:
    archive = tmp_path / "a.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(photo, "deep/one.jpg")
    sorted_into(tmp_path / "out", [cat(Path(f"{archive}/deep/one.jpg"))])
    assert placed(tmp_path / "out") == {"cat/one.jpg": b"one"}
    assert not (tmp_path / "out/cat/one.jpg").is_symlink()


def test_a_copy_that_fails_leaves_nothing(photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.copyfileobj", _stopped)
    (tmp_path / "out").mkdir()
    with pytest.raises(KeyboardInterrupt):
        put(Source(str(photo), "copy"), tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def _stopped(original: Any, file: Any, length: int) -> None:
    file.write(b"o")
    raise KeyboardInterrupt


def test_a_file_system_without_hard_links_is_named(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr("os.link", refused)
    with pytest.raises(UsageError, match="cannot be made"):
        put(Source(str(photo), "hardlink"), tmp_path)


def test_a_kill_in_the_middle_leaves_whole_files_and_the_next_start_adds_the_others(tmp_path: Path) -> None:
    photos, out, size = tmp_path / "photos", tmp_path / "out", 1 << 17
    photos.mkdir()
    out.mkdir()
    for number in range(200):
        (photos / f"{number:03}.jpg").write_bytes(bytes([number]) * size)
    names = sorted(str(path) for path in photos.iterdir())
    code = (
        "import sys; from pathlib import Path; from transfercli.workflows.predict.placing import Source, put\n"
        "for name in sys.argv[2:]: put(Source(name, 'copy'), Path(sys.argv[1])); print(name, flush=True)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(out), *names], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for _ in range(20):
            process.stdout.readline()
        process.kill()
    placed_then = list(out.iterdir())
    assert 20 <= len(placed_then) < 200
    assert all(path.read_bytes() == (photos / path.name).read_bytes() for path in placed_then)
    assert sum(put(Source(name, "copy"), out) for name in names) == 200 - len(placed_then)
    assert sorted(path.name for path in out.iterdir()) == [f"{number:03}.jpg" for number in range(200)]
