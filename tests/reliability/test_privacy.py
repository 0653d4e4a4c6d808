"""A run travels: none of its bytes name the user, the machine or the place, and nothing of what a photograph hides."""

from __future__ import annotations

import io
import json
import os
import re
import socket
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from PIL import Image

from transfercli.cli.runner import run_command
from transfercli.cli.ui.console import Console

PICTURE = re.compile(rb"\x89PNG.*?IEND", re.DOTALL)  # also inside event files: chance writes any two letters into one
USER, PLACE, ARTIST, COMMENT = "zaphod", "Q's odd place, 2nd", "Trillian Photographer", "Magrathea 52.5N"


def photographs(digits: Path, folder: Path) -> None:
    """Forty digits as JPEG files with an artist, a description and a comment."""
    tags = Image.Exif()
    tags[0x013B], tags[0x010E] = ARTIST, COMMENT
    for label in "01":
        (folder / label).mkdir(parents=True)
        for file in sorted((digits / "train" / label).iterdir())[:20]:
            picture = Image.open(file).convert("RGB")
            picture.save(folder / label / f"{file.stem}.jpg", exif=tags, comment=COMMENT.encode())


def program(*arguments: str, folder: Path) -> None:
    environment = {**os.environ, "HOME": str(folder.parent), "USER": USER, "LOGNAME": USER}
    environment["PYTHONPATH"] = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-P", "-m", "transfercli", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()


def contents(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file by its name, links by their targets, and what is packed inside archives."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            yield name, os.fsencode(path.readlink())
        elif path.is_file():
            content = path.read_bytes()
            yield name, content
            if zipfile.is_zipfile(path):
                with zipfile.ZipFile(path) as archive:
                    yield from ((f"{name}:{member}", archive.read(member)) for member in archive.namelist())
        else:
            yield name, b""


def telling(root: Path) -> list[re.Pattern[bytes]]:
    """What must not stand in a run: a short host name only as a word, as chance writes two letters into any picture."""
    words = [USER, ARTIST, COMMENT, ARTIST.split()[0], str(root), os.path.realpath(root), sys.prefix, sys.base_prefix]
    words += [str(Path(__file__).parents[2]), "site-packages"]
    patterns = [re.escape(word.encode()) for word in words]
    host = re.escape(socket.gethostname().encode())
    return [re.compile(pattern, re.IGNORECASE) for pattern in patterns] + [
        re.compile(rb"(?<![\w/+=])" + host + rb"(?![\w/+=])")
    ]


@pytest.mark.slow
def test_no_byte_of_a_run_tells_of_user_machine_place_or_photograph(digits_folder: Path, tmp_path: Path) -> None:
    place = tmp_path / USER / PLACE
    photographs(digits_folder / "digits", place / "images")
    runs = str(tmp_path / "elsewhere")
    config = {
        "name": "private",
        "data": {"train": "images", "image_size": 32},
        "model": {"base": "small_cnn", "weights": "none"},
        "transfer": {"strategy": "scratch"},
        "training": {"epochs": 1},
    }
    for name, train in (("relative", "images"), ("absolute", str(place / "images"))):
        config |= {"name": name, "data": {"train": train, "image_size": 32}}
        (place / f"{name}.yaml").write_text(yaml.safe_dump(config))
        program("finetune", f"{name}.yaml", "--runs", runs, folder=place)
        program("evaluate", name, "--runs", runs, folder=place)
        program("evaluate", name, "--runs", runs, "--data", str(place / "images"), folder=place)
        program("export", name, "--runs", runs, "--format", "saved_model", "--format", "keras", folder=place)
    found = [
        (name, pattern.pattern)
        for name, content in contents(tmp_path / "elsewhere")
        for pattern in telling(tmp_path)
        if (pattern.search(PICTURE.sub(b"", content)) and not name.endswith(".safetensors"))
        or pattern.search(name.encode())
    ]
    # The one absolute path that stays is what the config itself says.
    written = [entry for entry in found if re.fullmatch(r"absolute/[^/]+/config\.yaml", entry[0])]
    assert [entry for entry in found if entry not in written] == []
    assert written
    for name, content in contents(tmp_path / "elsewhere"):
        if name.endswith(".png") and content:
            assert not Image.open(io.BytesIO(content)).getexif(), name
            assert not re.search(rb"Trillian|Magrathea|zaphod", content), name


def test_a_bug_s_traceback_in_the_log_tells_no_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "log.txt"

    def work(console: Console) -> dict[str, str]:
        console.attach_log(log)
        raise KeyError(f"{tmp_path}/zaphod/images and '{tmp_path}/a place/x'")

    with pytest.raises(SystemExit) as left:
        run_command(work, lambda _: None, as_json=True, quiet=True, verbose=False)
    assert left.value.code == 1
    assert json.loads(capsys.readouterr().out)["error"]["kind"] == "bug"
    text = log.read_text()
    assert "KeyError" in text
    assert "cli/runner.py" in text
    assert str(tmp_path) not in text
    assert str(Path(__file__).parents[2]) not in text


def test_a_setting_that_holds_a_path_is_recorded_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from transfercli.runs.environment import machine

    monkeypatch.setenv("XLA_FLAGS", "--xla_dump_to=/home/zaphod/dump --xla_gpu_autotune_level=0")
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    settings = machine(1, [])["settings"]
    assert settings["XLA_FLAGS"] == "--xla_dump_to=… --xla_gpu_autotune_level=0"
    assert settings["OMP_NUM_THREADS"] == "2"
