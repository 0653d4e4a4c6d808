from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from transfercli.data.file_formats import EXTENSIONS, format_of
from transfercli.data.quality.file_headers import oddities, read_header

PICTURE = Image.radial_gradient("L").resize((24, 20)).convert("RGB")
OTHER = Image.linear_gradient("L").resize((24, 20)).convert("RGB")


WRITABLE = sorted(EXTENSIONS.keys() - {"HEIF"})  # Pillow writes no HEIF


def odd(file: str) -> list[str]:
    return oddities(file, read_header(file))


def saved(folder: Path, name: str, kind: str, **options: Any) -> str:
    buffer = io.BytesIO()
    PICTURE.save(buffer, kind, **options)
    (folder / name).write_bytes(buffer.getvalue())
    return str(folder / name)


@pytest.mark.parametrize("kind", WRITABLE)
def test_a_still_picture_under_its_own_name_is_not_odd(kind: str, tmp_path: Path) -> None:
    for extension in EXTENSIONS[kind]:
        file = saved(tmp_path, f"x{extension.upper()}", kind)
        assert odd(file) == []
        assert format_of(Path(file).read_bytes()[:64]) == kind


@pytest.mark.parametrize("kind", WRITABLE)
def test_another_format_than_the_name_says_is_told(kind: str, tmp_path: Path) -> None:
    extension = ".png" if kind != "PNG" else ".jpg"
    assert odd(saved(tmp_path, f"x{extension}", kind)) == [f"wrong extension: '{extension}', but the file is {kind}"]
    assert odd(saved(tmp_path, "without", kind)) == []


@pytest.mark.parametrize("kind, extension", [("GIF", "gif"), ("TIFF", "tif"), ("PNG", "png"), ("WEBP", "webp")])
def test_more_than_one_picture_is_told(kind: str, extension: str, tmp_path: Path) -> None:
    file = saved(tmp_path, f"x.{extension}", kind, save_all=True, append_images=[OTHER])
    assert [text.partition(":")[0] for text in odd(file)] == ["animated"]


def test_a_file_that_is_gone_or_of_no_known_format_is_not_odd(tmp_path: Path) -> None:
    assert odd(str(tmp_path / "gone.png")) == []
    (tmp_path / "text.png").write_text("text")
    assert odd(str(tmp_path / "text.png")) == []


def test_damage_behind_the_first_picture_is_told_and_raises_nothing(tmp_path: Path) -> None:
    file = Path(saved(tmp_path, "x.tif", "TIFF", save_all=True, append_images=[OTHER, OTHER]))
    content = file.read_bytes()
    for end in range(8, len(content), 97):
        file.write_bytes(content[:end])
        assert all(text.startswith("animated") for text in odd(str(file)))
