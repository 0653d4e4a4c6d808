"""`data check` from a config to the contract's result, on folders that are wrong in every way."""

from __future__ import annotations

import io
import os
import shutil
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from tests.data.decoding.profiles import DISPLAY_P3, rgb_profile
from tests.digits import all_digits, write_folders
from tests.listener import Listener
from transfercli.data.corrections.log import Decision, append_decisions
from transfercli.errors import DataError, UsageError
from transfercli.reporting import Reporter
from transfercli.workflows.data.check import CheckRequest, CheckResult, check_data
from transfercli.workflows.train.job import load_resolved
from transfercli.workflows.train.train import read_data

KEYS = {"images", "classes", "splits", "problems", "duplicates", "usable"}


@pytest.fixture(autouse=True)
def private_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRANSFERCLI_CACHE", str(tmp_path_factory.mktemp("cache") / "c"))


digit = all_digits().image


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


class Place:
    """A folder of digits and a config on it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.images = folder, folder / "images"
        self.fill("images/cat", range(20))
        self.fill("images/dog", range(100, 120))

    def fill(self, name: str, numbers: range) -> None:
        write_folders(self.folder, {name: numbers})

    def config(self, **data: Any) -> Path:
        path = self.folder / "c.yaml"
        sections = {"name": "c", "data": {"train": "images", "image_size": 32} | data}
        path.write_text(yaml.safe_dump(sections | {"model": {"base": "small_cnn", "weights": "none"}}))
        return path

    def check(self, **data: Any) -> dict[str, Any]:
        return self.result(**data).as_json()

    def result(self, **data: Any) -> CheckResult:
        return check_data(CheckRequest(self.config(**data), self.folder / "runs"), Reporter())


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_clean_data_has_counts_and_nothing_to_complain_of(place: Place) -> None:
    found = place.check()
    assert set(found) >= KEYS
    assert (found["images"], found["classes"], found["usable"]) == (40, {"cat": 20, "dog": 20}, True)
    assert sum(found["splits"].values()) == 40
    assert set(found["splits"]) == {"train", "validation", "test"}
    assert found["imbalance"] == 1
    assert found["sizes"]["median"] == [32, 32]
    for key in ("problems", "duplicates", "near_duplicates", "missing_classes", "unusual_sizes", "refusals"):
        assert not found[key], key


def test_every_bad_or_odd_file_is_told_with_its_reason_and_whether_it_is_used(place: Place) -> None:
    cat, png = place.images / "cat", encoded(digit(300))
    still, moved = digit(301).convert("P"), digit(302).convert("P")
    files = {
        "zero.png": (b"", "zero bytes", False),
        "text.jpg": (b"no image", "not an image", False),
        "cut.png": (png[: len(png) // 2], "truncated", False),
        "notes.txt": (b"notes", "not read: extension", False),
        "named.jpg": (png, "wrong extension", True),
        "moving.gif": (encoded(still, "GIF", save_all=True, append_images=[moved]), "animated", True),
        "tiny.png": (encoded(digit(303).resize((5, 20))), "tiny", True),
        "blank.png": (encoded(Image.new("L", (32, 32), 255)), "blank", True),
    }
    for name, (content, _, _) in files.items():
        (cat / name).write_bytes(content)
    found = place.check(max_bad_fraction=0.5)
    told = {one["path"]: one for one in found["problems"]}
    assert set(told) == {f"cat/{name}" for name in files}
    for name, (_, reason, used) in files.items():
        assert told[f"cat/{name}"]["problem"].startswith(reason)
        assert told[f"cat/{name}"]["used"] is used
    assert found["images"] == 44
    assert found["usable"] is True


def test_a_split_of_which_no_path_leads_to_a_file_leaves_the_report_whole(place: Place) -> None:
    rows = [
        f"images/{label}/{file.name},{label},train"
        for label in ("cat", "dog")
        for file in sorted((place.images / label).iterdir())
    ]
    lost = ["gone/1.png,cat,test", "gone/2.png,dog,test"]
    (place.folder / "part.csv").write_text("\n".join(["path,label,split", *rows, *lost]))
    found = place.check(train="part.csv")
    assert (found["images"], found["classes"], found["usable"]) == (40, {"cat": 20, "dog": 20}, False)
    assert [(row["path"], row["used"]) for row in found["problems"]] == [("gone/1.png", False), ("gone/2.png", False)]
    assert "none of the 2 paths of test images leads to a file" in str(found["refusals"][0])


def test_how_files_are_read_is_said_with_counts(place: Place) -> None:
    dark = Image.fromarray(np.asarray(digit(300)).astype(np.uint16) * 16)
    bright = Image.fromarray(np.asarray(digit(301)).astype(np.uint16) * 256)
    damaged = encoded(digit(303), icc_profile=b"rubbish" * 30)
    files = {
        "dark.png": encoded(dark),
        "bright.png": encoded(bright),
        "profile.png": encoded(digit(302).convert("RGB"), icc_profile=rgb_profile(DISPLAY_P3)),
        "damaged.png": damaged,
        "photo.jpg": encoded(digit(304), "AVIF"),
    }
    for name, content in files.items():
        (place.images / "cat" / name).write_bytes(content)
    heard = Listener()
    found = check_data(CheckRequest(place.config(), place.folder / "runs"), heard).as_json()
    kinds = {(one["path"], one["problem"].partition(":")[0]) for one in found["problems"]}
    assert {("cat/dark.png", "levels"), ("cat/damaged.png", "colour profile")} <= kinds
    assert not any(path in ("cat/bright.png", "cat/profile.png") for path, _ in kinds)
    assert any("12 of 16 bits (4,096 of 65,536 levels)" in one["problem"] for one in found["problems"])
    assert "'.jpg', but the file is AVIF" in str(found["problems"])
    assert [text.split(":")[0] for text in heard.warnings] == [
        "1 image with a colour profile other than sRGB",
        "1 image with a colour profile that is damaged or for other channels",
        "1 image with 16-bit samples that use few of the 65,536 levels, and so are dark",
    ]
    again = Listener()
    config = place.config(levels="stretch", profiles="ignore")
    check_data(CheckRequest(config, place.folder / "runs"), again)
    assert again.warnings == []
    assert any("stretched" in text for text in again.infos)


@pytest.mark.parametrize("resize", ["stretch", "crop", "pad"])
def test_a_flat_image_is_blank_however_it_is_resized(resize: str, place: Place) -> None:
    for name, size in (("wide", (90, 31)), ("high", (7, 64)), ("line", (400, 8))):
        (place.images / "cat" / f"{name}.png").write_bytes(encoded(Image.new("RGB", size, (200, 90, 30))))
    (place.images / "cat" / "photo.jpg").write_bytes(encoded(Image.new("RGB", (3001, 1101), "red"), "JPEG"))
    found = place.check(resize=resize)
    blank = {one["path"] for one in found["problems"] if one["problem"].startswith("blank")}
    assert blank == {f"cat/{name}" for name in ("wide.png", "high.png", "line.png", "photo.jpg")}
    assert found["near_duplicates"] == []


def test_copies_are_paired_by_their_pixels_whatever_the_format_and_told_by_label(place: Place) -> None:
    (place.images / "cat" / "copy.png").write_bytes(encoded(digit(0)))
    (place.images / "cat" / "same.bmp").write_bytes(encoded(digit(0), "BMP"))
    (place.images / "dog" / "moved.png").write_bytes(encoded(digit(1)))
    found = place.check()
    assert found["duplicates"] == [
        ["cat/0000.png", "cat/copy.png"],
        ["cat/0000.png", "cat/same.bmp"],
        ["cat/0001.png", "dog/moved.png"],
    ]
    assert found["duplicates_with_other_labels"] == [["cat/0001.png", "dog/moved.png"]]
    assert found["duplicates_across_splits"] == []


def test_copies_in_folders_of_two_sides_are_told_as_across_splits(place: Place) -> None:
    place.fill("held/cat", range(3, 6))
    place.fill("held/dog", range(400, 403))
    found = place.check(test="held")
    assert found["duplicates_across_splits"] == [[f"../held/cat/{n:04d}.png", f"cat/{n:04d}.png"] for n in range(3, 6)]
    assert found["usable"] is True


def test_a_copy_of_lower_quality_is_a_near_duplicate(place: Place) -> None:
    (place.images / "dog" / "again.jpg").write_bytes(encoded(digit(7), "JPEG", quality=60))
    found = place.check()
    assert found["duplicates"] == []
    assert found["near_duplicates"] == [["cat/0007.png", "dog/again.jpg"]]
    assert found["near_duplicates_with_other_labels"] == [["cat/0007.png", "dog/again.jpg"]]


def test_a_class_that_a_side_lacks_and_a_size_unlike_the_others_are_told(place: Place) -> None:
    place.fill("held/dog", range(400, 403))
    (place.images / "cat" / "wide.png").write_bytes(encoded(digit(500).resize((400, 32))))
    found = place.check(test="held")
    assert found["missing_classes"] == {"test": ["cat"]}
    assert found["unusual_sizes"] == [{"path": "cat/wide.png", "width": 400, "height": 32}]
    assert found["balance"]["cat"]["test"] == 0


def test_a_jpeg_that_was_cut_and_closed_is_found_on_whatever_side_it_is_grey(place: Place) -> None:
    photo = digit(300).resize((320, 320), Image.Resampling.BICUBIC)
    for orientation in (1, 6, 3):
        exif = Image.Exif()
        exif[0x0112] = orientation
        content = encoded(photo, "JPEG", exif=exif)
        (place.images / "cat" / f"sound{orientation}.jpg").write_bytes(content)
        (place.images / "cat" / f"cut{orientation}.jpg").write_bytes(content[: 2 * len(content) // 3] + b"\xff\xd9")
    grey_below = Image.new("L", (320, 320), 128)
    grey_below.paste(photo.crop((0, 0, 320, 200)))
    (place.images / "cat" / "letterbox.jpg").write_bytes(encoded(grey_below, "JPEG"))
    found = place.check()
    cut = {one["path"] for one in found["problems"] if one["problem"].startswith("cut: the image data of ")}
    assert cut == {f"cat/cut{orientation}.jpg" for orientation in (1, 6, 3)}
    assert "3 images damaged, but decoded without an error" in found["doubts"]


def test_transparent_images_are_counted_and_those_of_one_colour_on_the_background(place: Place) -> None:
    for name, ink in (("black", 0), ("white", 255)):
        for n in range(3):
            picture = Image.new("RGBA", (32, 32), (0, 0, 0, 0))
            picture.paste((ink, ink, ink, 255), (3, 3, 9 + 5 * n, 12 + 4 * n))
            (place.images / "dog" / f"{name}{n}.png").write_bytes(encoded(picture))
    found = place.check()
    assert found["transparency"] == {"images": 6, "flat": 3, "background": "#ffffff"}
    assert found["duplicates"] == []  # also the white ones differ, in their opacity
    assert {one["path"] for one in found["problems"]} == {f"dog/white{n}.png" for n in range(3)}
    again = place.check()  # from the cache
    assert again["transparency"] == found["transparency"]
    grey = place.check(background="grey")
    assert grey["transparency"] == {"images": 6, "flat": 0, "background": "#808080"}
    assert (grey["duplicates"], grey["problems"]) == ([], [])
    dropped = place.check(background="none")["transparency"]
    assert (dropped["images"], dropped["background"]) == (6, "none")


def test_training_says_how_many_images_are_transparent(place: Place) -> None:
    from transfercli.workflows.train.job import TrainRequest, resolve_job

    picture = Image.new("RGBA", (32, 32), (0, 0, 0, 0))
    picture.paste((0, 0, 0, 255), (3, 3, 20, 12))
    (place.images / "dog" / "transparent.png").write_bytes(encoded(picture))
    told: list[str] = []

    class Recorder(Reporter):
        def warning(self, message: str) -> None:
            told.append(message)

    def read(**data: Any) -> list[str]:
        told.clear()
        read_data(resolve_job(TrainRequest("finetune", place.config(**data), place.folder / "runs")), Recorder())
        return [message for message in told if "transparent" in message]

    assert read() == [
        "1 image with transparent pixels, laid on the background #ffffff; to choose another colour, set data.background"
    ]
    assert read(background="white") == []
    (flat,) = read(background="black")
    assert "1 of them is of one colour then: set data.background" in flat


def spoil_many(place: Place) -> None:
    for n in range(5):
        (place.images / "cat" / f"bad{n}.png").write_bytes(b"no image")


def spoil_a_class(place: Place) -> None:
    place.fill("images/rare", range(600, 601))


def spoil_all_but_one_class(place: Place) -> None:
    shutil.rmtree(place.images / "dog")


def spoil_a_held_out_class(place: Place) -> None:
    place.fill("images/train/cat", range(20))
    place.fill("images/train/dog", range(100, 120))
    place.fill("images/test/wolf", range(200, 203))
    shutil.rmtree(place.images / "cat")
    shutil.rmtree(place.images / "dog")


def spoil_every_image_of_a_class(place: Place) -> None:
    shutil.rmtree(place.images / "dog")
    (place.images / "dog").mkdir()
    (place.images / "dog" / "1.jpg").write_bytes(b"")


def spoil_the_place(place: Place) -> None:
    shutil.rmtree(place.images)


def spoil_a_class_folder(place: Place) -> None:
    (place.images / "empty").mkdir()


SPOILT = [
    spoil_many,
    spoil_a_class,
    spoil_all_but_one_class,
    spoil_a_held_out_class,
    spoil_every_image_of_a_class,
    spoil_the_place,
    spoil_a_class_folder,
]


@pytest.mark.parametrize("spoil", SPOILT)
def test_what_training_refuses_is_not_usable_for_the_same_reason(spoil: Any, place: Place) -> None:
    from transfercli.workflows.train.job import TrainRequest, resolve_job

    spoil(place)
    result = place.result()
    found, report = result.as_json(), result.report
    assert found["usable"] is False
    assert set(found) >= KEYS
    job = resolve_job(TrainRequest("finetune", place.config(), place.folder / "runs"))
    with pytest.raises(DataError) as caught:
        read_data(job, Reporter())
    assert found["refusals"][0] == caught.value.message
    assert report.hints[0] == (caught.value.hint or "")


def test_all_reasons_are_told_at_once(place: Place) -> None:
    spoil_many(place)
    spoil_a_class(place)
    found = place.check()
    assert len(found["refusals"]) == 2
    assert found["classes"] == {"cat": 20, "dog": 20, "rare": 1}


def test_an_empty_class_folder_hides_nothing_of_the_others(place: Place) -> None:
    spoil_a_class_folder(place)
    (place.images / "cat" / "bad.png").write_bytes(b"")
    found = place.check(max_bad_fraction=0.1)
    assert found["refusals"] == ["class 'empty' has no images: its folder holds nothing"]
    assert found["classes"] == {"cat": 20, "dog": 20}
    assert [one["path"] for one in found["problems"]] == ["cat/bad.png"]


def test_the_sides_are_those_that_a_training_would_use(place: Place) -> None:
    from transfercli.data.manifest import write_assignments
    from transfercli.data.splitting.assignments import Assignments
    from transfercli.workflows.train.job import TrainRequest, resolve_job

    dataset = read_data(resolve_job(TrainRequest("finetune", place.config(), place.folder / "runs")), Reporter())
    (place.folder / "runs" / "c").mkdir(parents=True)
    sides = dataset.assignments.splits
    first = sorted(pixels for pixels, side in sides.items() if side == "train")[:2]
    turned = Assignments({**sides, **dict.fromkeys(first, "test")})
    write_assignments(place.folder / "runs" / "c" / "splits.csv", turned)
    assert place.check()["splits"]["test"] == len(dataset.splits["test"]) + 2


def test_a_report_that_cannot_be_written_is_refused_before_the_config_is_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    request = CheckRequest(tmp_path / "no config.yaml", tmp_path / "runs", report=tmp_path / "file" / "report")
    with pytest.raises(UsageError, match="--report"):
        check_data(request, Reporter())


def test_nothing_is_written_into_the_data_or_the_runs(place: Place) -> None:
    before = sorted(path.name for path in place.images.rglob("*"))
    place.check()
    assert sorted(path.name for path in place.images.rglob("*")) == before
    assert not (place.folder / "runs").exists()
    assert load_resolved(place.config(), (), "finetune", place.folder).folder == place.folder


WATCHED: list[Path] = []  # folders; an audit hook cannot be taken away again, so it looks here
OPENED: list[Path] = []


def watch(event: str, arguments: tuple[Any, ...]) -> None:
    if WATCHED and event == "open" and isinstance(arguments[0], str | bytes):
        path = Path(os.fsdecode(arguments[0]))
        OPENED.extend(path for folder in WATCHED if path.is_relative_to(folder) and not path.is_dir())


def test_a_second_check_of_an_unchanged_folder_opens_no_image(place: Place) -> None:
    (place.images / "cat" / "moving.gif").write_bytes(
        encoded(digit(301).convert("P"), "GIF", save_all=True, append_images=[digit(302).convert("P")])
    )
    (place.images / "cat" / "copy.png").write_bytes(encoded(digit(0)))
    sys.addaudithook(watch)
    OPENED.clear()
    WATCHED.append(place.images)
    try:
        first = place.check()
        opened = set(OPENED)
        OPENED.clear()
        second = place.check()
    finally:
        WATCHED.clear()
    assert len(opened) == 42
    assert OPENED == []
    assert second == first
    assert second["problems"][0]["problem"] == "animated: 2 pictures, the first is used"


def test_each_split_has_a_number_of_independent_groups_if_there_are_groups(place: Place) -> None:
    assert place.check()["groups"] is None
    found = place.check(group=r"(\d\d)\.png$")  # the last digits of the names: the same in both classes
    assert set(found["groups"]) == set(found["splits"])
    assert sum(found["groups"].values()) == len({path.name[-6:] for path in place.images.rglob("*.png")})


def test_decisions_on_labels_are_counted_as_in_the_record_of_a_run(place: Place) -> None:
    assert place.check()["corrections"] is None
    first, second, third = sorted((place.images / "cat").iterdir())[:3]
    hashes = [sha256(file.read_bytes()).hexdigest() for file in (first, second)]
    decided = [(first, hashes[0], "dog"), (second, hashes[1], "cat"), (third, "0" * 64, "dog")]
    log = place.folder / "corrections.csv"
    append_decisions(log, [Decision(f"cat/{file.name}", content, "cat", new) for file, content, new in decided])
    found = place.check(corrections="corrections.csv")
    assert found["corrections"] == {
        "file": "corrections.csv",
        "sha256": sha256(log.read_bytes()).hexdigest(),
        "decisions": 3,
        "images": 3,
        "changed": 1,
        "kept": 1,
        "unused": {"changed since": 1},
    }
    assert found["classes"] == {"cat": 19, "dog": 21}
