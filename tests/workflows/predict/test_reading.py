"""Images that differ only in how their file stores them get one answer, and what the decoder did is counted."""

from __future__ import annotations

import io
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from tests.data.decoding.profiles import DISPLAY_P3, grey_profile, rgb_profile
from tests.data.decoding.tiffs import tiff
from tests.listener import Listener
from transfercli.config.dump import dump
from transfercli.data.decoding.decode import decode_file
from transfercli.data.image import EARLIER, IGNORE, Geometry
from transfercli.export.spec import ExportSpec, card_text, parse_card
from transfercli.runs.folder import RunFolder
from transfercli.workflows.export.export import reference_of
from transfercli.workflows.predict.predict import PredictRequest, predict_images
from transfercli.workflows.resolved_config import geometry_of
from transfercli.workflows.stored_run import StoredRun

P3 = rgb_profile(DISPLAY_P3)


def written(folder: Path, file: str) -> list[str]:
    """Write one digit in kinds of files that show the same picture."""
    with Image.open(file) as image:
        grey = image.convert("L")
    levels = np.asarray(grey)
    to_p3 = ImageCms.buildTransform(
        ImageCms.createProfile("sRGB"), ImageCms.ImageCmsProfile(io.BytesIO(P3)), "RGB", "RGB"
    )
    linear = 255 * np.where(levels <= 10, levels / 255 / 12.92, ((levels / 255 + 0.055) / 1.055) ** 2.4)
    pictures = {
        "plain.png": lambda path: grey.save(path),
        "p3.png": lambda path: ImageCms.applyTransform(grey.convert("RGB"), to_p3).save(path, icc_profile=P3),
        "linear.png": lambda path: Image.fromarray(np.rint(linear).astype(np.uint8)).save(
            path, icc_profile=grey_profile(1.0)
        ),
        "white-is-zero.tif": lambda path: path.write_bytes(tiff((255 - levels.astype(np.uint16)) * 257, 16, 0)),
        "twelve.tif": lambda path: path.write_bytes(tiff((levels.astype(int) * 4095 // 255).astype(np.uint16), 12)),
        "lossless.avif": lambda path: grey.save(path, "AVIF", quality=100),
    }
    for name, write in pictures.items():
        write(folder / name)
    return [str(folder / name) for name in pictures]


def test_one_picture_gets_one_answer_whatever_its_samples_and_colour_space(run: Any, tmp_path: Path) -> None:
    world, folder, files = run
    reporter = Listener()
    request = PredictRequest(str(folder), world.runs, tuple(written(tmp_path, files[1])))
    plain, *others = predict_images(request, reporter).answers
    assert plain.error == ""
    for other in others:
        assert other.error == ""
        assert other.top[0][0] == plain.top[0][0], other.path
        assert abs(other.top[0][1] - plain.top[0][1]) < 0.1, other.path
    told = [text for text in reporter.messages if "colour profile" in text]
    assert told == ["2 images with a colour profile other than sRGB: the colours are converted (data.profiles)"]


def test_a_run_from_before_profiles_and_levels_reads_as_it_did(run: Any, tmp_path: Path) -> None:
    _, folder, files = run
    new = geometry_of(StoredRun(RunFolder(folder)).config)
    assert (new.profiles, new.levels) == ("convert", "tags")
    earlier = tmp_path / folder.parent.name / folder.name
    shutil.copytree(folder, earlier)
    lines = (earlier / "config.yaml").read_text().splitlines(keepends=True)
    kept = [line for line in lines if "profiles:" not in line and "levels:" not in line]
    assert len(kept) == len(lines) - 2
    (earlier / "config.yaml").write_text("".join(kept))
    stored = StoredRun(RunFolder(earlier))
    old = geometry_of(stored.config)
    assert (old.profiles, old.levels) == (IGNORE, EARLIER)
    with Image.open(files[1]) as image:
        levels = np.asarray(image.convert("L"))
    path = tmp_path / "white-is-zero.tif"
    path.write_bytes(tiff((255 - levels.astype(np.uint16)) * 257, 16, 0))
    pixels = decode_file(str(path), replace(old, height=levels.shape[0], width=levels.shape[1])).pixels
    assert pixels is not None
    assert np.array_equal(pixels[..., 0], 255 - levels)  # not inverted: the tag was not read
    (earlier / "config.yaml").write_text(dump(stored.config))
    assert geometry_of(StoredRun(RunFolder(earlier)).config) == old


def test_the_card_of_an_artefact_holds_the_whole_recipe_and_older_cards_keep_theirs() -> None:
    spec = ExportSpec(("a", "b"), (8, 9), "pad", background="#ffffff", levels="stretch", max_megapixels=60.0)
    assert parse_card(card_text(spec)).geometry == Geometry(8, 9, "pad", "#ffffff", "stretch", "convert", 60.0)
    card = json.loads(card_text(spec))
    for key in ("background", "levels", "profiles", "max_megapixels"):
        del card["input"][key]
    assert parse_card(json.dumps(card)).geometry == Geometry(8, 9, "pad", levels=EARLIER, profiles=IGNORE)
    old = parse_card(json.dumps(card))
    assert parse_card(card_text(old)) == old


@pytest.mark.parametrize(
    "note, reason",
    [("profile", "serve_bytes ignores colour profiles, which 1 image"), ("stretched:12/16", "serve_bytes does not")],
)
def test_what_serve_bytes_reads_otherwise_is_proved_with_png_files(run: Any, note: str, reason: str) -> None:
    _, folder, _ = run
    reporter = Listener()
    stored = StoredRun.find(str(folder), folder.parent.parent, reporter)
    split = stored.split("validation")
    assert reference_of(stored, split).files != ()
    noted = replace(split, notes=(note, *split.notes[1:]))
    assert reference_of(stored, noted).files == ()
    assert reporter.warnings[-1].startswith(reason)
