from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from transfercli.data.samples.writing import write_sample
from transfercli.errors import UsageError


def files(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_the_source_digits_are_grey_images_of_five_classes_with_a_fifth_for_test(tmp_path: Path) -> None:
    written = write_sample("digits-source", tmp_path / "deep" / "digits")
    found = files(tmp_path / "deep" / "digits")
    sides = Counter(tuple(name.split("/")[:2]) for name in found)
    assert (written.images, written.classes) == ({"train": 723, "test": 178}, tuple("01234"))
    assert set(sides) == {(side, label) for side in ("train", "test") for label in "01234"}
    assert sum(n for (side, _), n in sides.items() if side == "train") == 723
    with Image.open(tmp_path / "deep" / "digits" / "train" / "0" / "0000.png") as image:
        assert (image.mode, image.size) == ("L", (32, 32))
        assert np.asarray(image).max() > 200
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["digits"]


def test_source_and_target_share_nothing_and_make_the_whole(tmp_path: Path) -> None:
    for name in ("digits", "digits-source", "digits-target"):
        write_sample(name, tmp_path / name)
    source, target = files(tmp_path / "digits-source"), files(tmp_path / "digits-target")
    assert not source.keys() & target.keys()
    assert source | target == files(tmp_path / "digits")
    assert len(source | target) == 1797


def test_the_bytes_are_the_same_on_every_machine(tmp_path: Path) -> None:
    write_sample("digits-target", tmp_path / "a")
    digest = hashlib.sha256()
    for name, content in sorted(files(tmp_path / "a").items()):
        digest.update(name.encode() + content)
    assert digest.hexdigest() == "902612d0a9d91434a1ec60987f6769ca3be6d1e7cd41d1ef235532d68fc462f3"


def test_faint_digits_are_the_same_scans_on_grey_paper(tmp_path: Path) -> None:
    for name in ("digits", "digits-faint"):
        write_sample(name, tmp_path / name)
    assert files(tmp_path / "digits").keys() == files(tmp_path / "digits-faint").keys()
    first = min(path for path in files(tmp_path / "digits") if path.startswith("test/0/"))
    levels = [np.asarray(Image.open(tmp_path / name / first)) for name in ("digits", "digits-faint")]
    assert np.array_equal(levels[1], np.rint(100 + 0.4 * levels[0]))


def test_the_same_sample_again_changes_nothing(tmp_path: Path) -> None:
    write_sample("digits-target", tmp_path / "a")
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "a").rglob("*")}
    assert write_sample("digits-target", tmp_path / "a").existed
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "a").rglob("*")} == before


def test_a_folder_with_anything_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    (tmp_path / "file").write_text("keep")
    (tmp_path / "link").symlink_to("nowhere")
    for name in ("mine", "file", "link"):
        with pytest.raises(UsageError):
            write_sample("digits-source", tmp_path / name)
    assert files(tmp_path) == {"mine/notes.txt": b"keep", "file": b"keep"}


def test_an_empty_folder_is_filled_and_an_altered_sample_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    write_sample("digits-source", tmp_path / "a")
    (tmp_path / "a" / "train" / "0" / "0000.png").write_bytes(b"other")
    with pytest.raises(UsageError, match="not empty") as caught:
        write_sample("digits-source", tmp_path / "a")
    assert caught.value.hint == "name a folder that does not exist yet"  # and nothing about deleting somebody's files


def test_an_unknown_sample_names_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="digits, digits-source, digits-target"):
        write_sample("letters", tmp_path / "a")
