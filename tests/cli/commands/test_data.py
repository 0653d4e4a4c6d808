"""`transfercli data …` as its users start it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

CONFIG = "name: t\ndata: {train: data, image_size: 32}\nmodel: {base: small_cnn, weights: none}\n"


def transfercli(*arguments: object, folder: Path, check: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "transfercli", *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == check, done.stderr
    return done


@pytest.fixture
def place(tmp_path: Path) -> Path:
    transfercli("sample", "digits-target", "data", folder=tmp_path)
    (tmp_path / "t.yaml").write_text(CONFIG)
    return tmp_path


def test_check_prints_the_contracts_object_and_a_table(place: Path) -> None:
    found = json.loads(transfercli("data", "check", "t.yaml", "--json", folder=place).stdout)
    assert found["images"] == sum(found["classes"].values()) == sum(found["splits"].values()) == 896
    assert (found["problems"], found["duplicates"], found["usable"]) == ([], [], True)
    shown = transfercli("data", "check", "t.yaml", "--set", "data.test=null", folder=place).stdout
    assert "usable" in shown
    assert "719 in 5 classes" in shown


def test_check_exits_4_with_its_normal_result_where_training_would_refuse(place: Path) -> None:
    (place / "data" / "train" / "5" / "bad.png").write_bytes(b"")
    arguments = ("data", "check", "t.yaml", "--json", "--set", "data.max_bad_fraction=0")
    done = transfercli(*arguments, folder=place, check=4)
    found = json.loads(done.stdout)
    assert found["usable"] is False
    assert [one["path"] for one in found["problems"]] == ["train/5/bad.png"]
    assert "error: training would refuse: 1 of 897 images cannot be used" in done.stderr
    gone = transfercli("data", "check", "t.yaml", "--json", "--set", "data.train=gone", folder=place, check=4)
    assert json.loads(gone.stdout)["images"] == 0
    shown = transfercli("data", "check", "t.yaml", "--set", "data.train=gone", folder=place, check=4).stdout
    assert "NO: training would refuse" in shown
    assert "0 classes" not in shown
    assert "-----" not in shown


def test_check_reads_splits_under_other_names_and_refuses_what_can_be_read_in_two_ways(place: Path) -> None:
    data = place / "data"
    (data / "train").rename(data / "Training")
    (data / "test").rename(data / "Testing")
    (data / "Training" / "lost+found").mkdir()
    found = json.loads(transfercli("data", "check", "t.yaml", "--json", folder=place).stdout)
    assert ([*found["classes"]], found["splits"]["test"], found["usable"]) == (["5", "6", "7", "8", "9"], 177, True)
    (data / "Training").rename(data / "hospital")
    (data / "Testing").rename(data / "clinic")
    done = transfercli("data", "check", "t.yaml", folder=place, check=4)
    assert "the folders 'clinic', 'hospital'" in done.stderr
    assert "have the same sub-folders (5, 6, 7, 8 and 1 more)" in done.stderr


def test_equal_problems_are_one_row_and_long_lists_are_cut(place: Path) -> None:
    for n in range(12):
        (place / "data" / "train" / "5" / f"{n}.png").write_bytes(b"")
        Image.effect_noise((300 + n, 300), 50).save(place / "data" / "train" / "6" / f"{n}.png")
    done = transfercli("data", "check", "t.yaml", folder=place, check=4)
    assert "problems: 12\n" in done.stdout
    (row,) = [line for line in done.stdout.splitlines() if line.startswith("zero bytes")]
    assert row.split()[2:] == ["12", "left", "out", "train/5/0.png,", "train/5/1.png,", "train/5/10.png,", "…"]
    assert "unusual sizes: 12\n" in done.stdout
    assert "… and 2 more; --json lists all" in done.stdout


def test_copies_with_other_labels_are_a_doubt_and_not_a_plain_yes(place: Path) -> None:
    train = place / "data" / "train"
    for n, copy in enumerate(sorted((train / "5").iterdir())[:3]):
        shutil.copy(copy, train / "6" / f"copy-{n}.png")
    found = json.loads(transfercli("data", "check", "t.yaml", "--json", folder=place).stdout)
    assert (found["usable"], found["verdict"]) == (True, "doubtful")
    assert found["doubts"] == ["6 images with the same pixels as an image of another class"]
    shown = transfercli("data", "check", "t.yaml", folder=place).stdout
    assert "yes, but with doubts" in shown
    assert f"doubt: {found['doubts'][0]}" in shown
    assert "groups of duplicates with other labels: 3\n" in shown


def test_hostile_names_reach_no_terminal(place: Path) -> None:
    hostile = place / "data" / "train" / "5" / "\x1b[2J[red]=cmd\u202egnp.png"
    hostile.write_bytes(b"")
    shown = transfercli("data", "check", "t.yaml", folder=place)
    assert "\x1b" not in shown.stdout + shown.stderr
    assert "\u202e" not in shown.stdout + shown.stderr
    assert "\\x1b[2J[red]=cmd" in shown.stdout
