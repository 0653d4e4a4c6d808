"""Kept images: the least sure of all processes, bounded, each once, and whole."""

from __future__ import annotations

import csv
import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from transfercli.errors import ArtefactError
from transfercli.evaluation.monitoring import kept_images
from transfercli.evaluation.monitoring.kept_images import FOLDER, TABLE, KeptImages, content_of, suffix_of


def picture(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (6, 5, 3), np.uint8)


def png(number: int) -> bytes:
    return content_of(picture(number), None)


def offer(kept: KeptImages, confidences: dict[int, float]) -> None:
    for number, confidence in confidences.items():
        if kept.wants(confidence):
            kept.add(confidence, png(number), f"class {number}", number % 2 == 0, "2026-11-29T00:00:00Z")


def rows(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((folder / TABLE).read_text("utf-8"))))


def names(numbers: list[int]) -> list[str]:
    return [hashlib.sha256(png(number)).hexdigest() + ".png" for number in numbers]


def test_the_least_sure_images_are_kept_under_the_hash_of_their_bytes(tmp_path: Path) -> None:
    kept = KeptImages(tmp_path, 3)
    offer(kept, {1: 0.9, 2: 0.4, 3: 0.8, 4: 0.5, 5: 0.95, 6: 0.7})
    kept.write()
    assert [row["file"] for row in rows(tmp_path)] == names([2, 4, 6])
    assert rows(tmp_path)[0] == {
        "confidence": "0.4",
        "file": names([2])[0],
        "label": "class 2",
        "strange": "true",
        "when": "2026-11-29T00:00:00Z",
    }
    assert sorted(path.name for path in (tmp_path / FOLDER).iterdir()) == sorted(names([2, 4, 6]))
    with Image.open(tmp_path / FOLDER / names([2])[0]) as image:
        np.testing.assert_array_equal(np.asarray(image), picture(2))


def test_processes_share_the_bound_whatever_the_order_of_their_writes(tmp_path: Path) -> None:
    confidences = {number: float(np.random.default_rng(number).random()) for number in range(1, 41)}
    wanted = sorted(confidences, key=lambda number: confidences[number])[:7]
    first, second = KeptImages(tmp_path, 7), KeptImages(tmp_path, 7)
    for start in range(1, 41, 10):
        part = {number: confidences[number] for number in range(start, start + 10)}
        offer(first, {number: value for number, value in part.items() if number % 2})
        offer(second, {number: value for number, value in part.items() if not number % 2})
        second.write()
        first.write()
    assert [row["file"] for row in rows(tmp_path)] == names(wanted)
    assert sorted(path.name for path in (tmp_path / FOLDER).iterdir()) == sorted(names(wanted))


def test_an_image_that_is_asked_again_is_kept_once_and_later_processes_go_on(tmp_path: Path) -> None:
    kept = KeptImages(tmp_path, 2)
    offer(kept, {1: 0.5})
    offer(kept, {1: 0.5})
    offer(kept, {2: 0.6})
    kept.write()
    later = KeptImages(tmp_path, 2)
    assert not later.wants(0.7)
    offer(later, {3: 0.1, 1: 0.4})
    later.write()
    assert [(row["file"], row["confidence"]) for row in rows(tmp_path)] == [
        (names([3])[0], "0.1"),
        (names([1])[0], "0.4"),
    ]


def test_an_image_that_a_person_took_away_makes_room(tmp_path: Path) -> None:
    kept = KeptImages(tmp_path, 2)
    offer(kept, {1: 0.1, 2: 0.2})
    kept.write()
    (tmp_path / FOLDER / names([1])[0]).unlink()
    later = KeptImages(tmp_path, 2)
    offer(later, {3: 0.15})
    later.write()
    assert [row["file"] for row in rows(tmp_path)] == names([3, 2])


def test_an_image_of_a_killed_process_that_no_table_lists_is_removed_and_other_files_stay(tmp_path: Path) -> None:
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / names([9])[0]).write_bytes(png(9))
    (tmp_path / FOLDER / "notes.txt").write_text("mine")
    kept = KeptImages(tmp_path, 2)
    offer(kept, {1: 0.1})
    kept.write()
    assert sorted(path.name for path in (tmp_path / FOLDER).iterdir()) == sorted([*names([1]), "notes.txt"])


def test_the_bytes_of_a_file_are_kept_as_they_are_and_of_other_formats_the_pixels(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(picture(1)).save(buffer, "JPEG")
    file = tmp_path / "one.jpg"
    file.write_bytes(buffer.getvalue())
    for given in (buffer.getvalue(), file):
        assert content_of(picture(1), given) == buffer.getvalue()
    assert suffix_of(buffer.getvalue()) == ".jpg"
    for given in (None, b"P6 no format that is kept", tmp_path / "missing.png", tmp_path, Path("a\0b")):
        assert content_of(picture(1), given) == png(1)


def test_a_file_that_is_too_large_is_not_kept_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_images, "MAX_FILE", 100)
    assert content_of(picture(1), png(2)) == png(1)


def test_candidates_in_memory_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_images, "MAX_PENDING", 2 * len(png(1)))
    kept = KeptImages(tmp_path, 100)
    offer(kept, dict.fromkeys(range(1, 20), 0.5))
    assert kept.full
    kept.write()
    assert len(rows(tmp_path)) == 3
    assert not kept.full


@pytest.mark.parametrize(
    "text",
    [
        "",
        "path,label\n",
        "confidence,file,label,strange,when\n0.5,../../etc/passwd,a,,b\n",
        f"confidence,file,label,strange,when\nnan,{'a' * 64}.png,a,,b\n",
        f"confidence,file,label,strange,when\n0.5,{'a' * 64}.png,a\n",
        f"confidence,file,label,strange,when\n0.5,{'a' * 64}.png/../x,a,,b\n",
    ],
)
def test_a_damaged_table_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / TABLE).write_text(text)
    with pytest.raises(ArtefactError, match=r"kept\.csv is damaged"):
        KeptImages(tmp_path, 2)
