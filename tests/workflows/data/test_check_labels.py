"""`data check` on images with several labels, from the table to the result."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

from tests.digits import all_digits, write_folders
from transfercli.cli.app import app

Check = Callable[..., tuple[int, dict[str, Any], str]]


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Check:
    """`check(sets, split, **data)`: exit code, result and shown text of 60 digits with these labels."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRANSFERCLI_CACHE", str(tmp_path / "cache"))
    write_folders(tmp_path, {"images/x": range(60)})
    files = sorted(path.name for path in (tmp_path / "images" / "x").iterdir())

    def run(sets: list[str], splits: list[str] | None = None, **data: Any) -> tuple[int, dict[str, Any], str]:
        rows = zip(files, sets, splits or [""] * 60, strict=True)
        (tmp_path / "t.csv").write_text(
            "path,labels,split\n" + "".join(f"images/x/{name},{labels},{split}\n" for name, labels, split in rows)
        )
        sections = {"train": "t.csv", "image_size": 32, "columns": {"label": "labels"}, "label_separator": ";"} | data
        config = {"name": "c", "data": sections, "model": {"base": "small_cnn", "weights": "none"}}
        (tmp_path / "c.yaml").write_text(yaml.safe_dump(config))
        done = CliRunner().invoke(app, ["data", "check", "c.yaml", "--json", "--report", "page"])
        shown = CliRunner().invoke(app, ["data", "check", "c.yaml"]).output
        assert (tmp_path / "page" / "index.html").is_file()
        return done.exit_code, json.loads(done.stdout), shown

    return run


def test_positives_pairs_and_images_without_a_label_are_counted(check: Check) -> None:
    code, result, shown = check(["a;b", "a", "", "b;c", "c;a", "b"] * 10)
    assert code == 0
    assert result["classes"] == {"a": 30, "b": 30, "c": 20}
    assert (result["unlabelled"], result["unknown"], result["label_pairs"]) == (10, {}, [])
    assert result["co_occurrence"] == {
        "labels": ["a", "b", "c"],
        "together": [[30, 10, 10], [10, 30, 10], [10, 10, 20]],
    }
    assert sum(result["balance"]["b"].values()) == 30
    assert (result["missing_classes"], result["always_present"], result["verdict"]) == ({}, {}, "usable")
    assert "60 with 3 labels" in shown
    assert "largest to smallest label" in shown


def test_unknown_labels_are_counted_and_are_no_absence(check: Check, tmp_path: Path) -> None:
    files = sorted(path.name for path in (tmp_path / "images" / "x").iterdir())
    values = ["1,0", "0,1", "-1,1", "0,0"] * 15
    rows = [f"images/x/{name},{pair}\n" for name, pair in zip(files, values, strict=True)]
    code, _, _ = check([""] * 60)
    assert code == 4  # no image has a label
    (tmp_path / "t.csv").write_text("path,a,b\n" + "".join(rows))
    config = yaml.safe_load((tmp_path / "c.yaml").read_text())
    config["data"] = {"train": "t.csv", "image_size": 32, "columns": {"label": ["a", "b"]}}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config))
    done = CliRunner().invoke(app, ["data", "check", "c.yaml", "--json"])
    result = json.loads(done.stdout)
    assert done.exit_code == 0
    assert (result["classes"], result["unknown"]) == ({"a": 15, "b": 30}, {"a": 15})
    assert "unknown" in CliRunner().invoke(app, ["data", "check", "c.yaml"]).output


def test_labels_that_are_always_together_are_a_doubt(check: Check) -> None:
    code, result, shown = check(["a;twin", "b", ""] * 20)
    assert (code, result["verdict"]) == (0, "doubtful")
    assert result["label_pairs"][0] == {
        "labels": ["a", "twin"],
        "kind": "same images",
        "together": 20,
        "images": [20, 20],
    }
    assert "1 pair of labels that are always together: 'a' and 'twin' (20 images)" in result["doubts"]
    assert "pairs of labels that chance does not explain" in shown


def test_a_given_split_with_a_one_sided_label_is_refused_with_names(check: Check) -> None:
    sets = [*["a;b", "a", "b", ""] * 10, *["b", "b;a"] * 10]
    code, result, _ = check(sets, ["train"] * 40 + ["test"] * 20)
    assert (code, result["always_present"]) == (4, {"test": ["b"]})
    assert "1 label that all test images have: 'b'" in result["doubts"]
    assert "test images: all of 20 images have 'b'" in result["refusals"][0]
    code, result, _ = check([*sets[:40], *["b", ""] * 10], ["train"] * 40 + ["test"] * 20)
    assert (code, result["missing_classes"]) == (4, {"test": ["a"]})
    assert "1 label that no test image has: 'a'" in result["doubts"]


def test_a_label_that_no_image_has_is_reported_once_for_all_splits(check: Check, tmp_path: Path) -> None:
    check(["a", ""] * 30)
    files = sorted(path.name for path in (tmp_path / "images" / "x").iterdir())
    splits = ["train"] * 40 + ["validation"] * 10 + ["test"] * 10
    rows = [f"images/x/{name},{n % 2},0,{split}\n" for n, (name, split) in enumerate(zip(files, splits, strict=True))]
    (tmp_path / "t.csv").write_text("path,a,never,split\n" + "".join(rows))
    config = yaml.safe_load((tmp_path / "c.yaml").read_text())
    config["data"] = {"train": "t.csv", "image_size": 32, "columns": {"label": ["a", "never"]}}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config))
    result = json.loads(CliRunner().invoke(app, ["data", "check", "c.yaml", "--json"]).stdout)
    assert result["doubts"] == ["1 label that no test, train or validation image has: 'never'"]
    assert result["refusals"] == ["1 label cannot be learnt: none of 40 images has 'never'"]
    shown = CliRunner().invoke(app, ["data", "check", "c.yaml"]).output
    assert shown.count("warning: ") == 1
    assert shown.count("labels without test, train or validation images: 1") == 1


@pytest.mark.parametrize(
    "sets, words",
    [
        (["a;Dog", "dog", ""] * 20, ("'Dog' (20 images)", "'dog' (20 images)")),
        (["a;all", "all", "b;all"] * 20, ("'all'", "60 images")),
        (["a", "b", ""] * 19 + ["a;rare", "b", ""], ("'rare'", "1 different usable image")),
    ],
)
def test_what_a_training_refuses_is_exit_4_with_the_normal_result(
    check: Check, sets: list[str], words: tuple[str, ...]
) -> None:
    code, result, shown = check(sets)
    assert (code, result["usable"], result["verdict"]) == (4, False, "refused")
    assert len(result["classes"]) == 3
    for word in words:
        assert word in " ".join(result["refusals"])
    assert "training would refuse" in shown


def test_copies_with_other_labels_are_counted_and_named(check: Check, tmp_path: Path) -> None:
    files = sorted((tmp_path / "images" / "x").iterdir())
    shutil.copy(files[0], files[1])
    sets = ["a", "b", "", "a;b"] * 15
    code, result, _ = check(sets)
    paths = [f"images/x/{path.name}" for path in files[:2]]
    assert (code, result["duplicates_with_other_labels"]) == (4, [paths])
    assert "2 images with the same pixels as an image with other labels" in result["doubts"]
    assert "2 images of 60 have the same pixels as one with other labels" in result["refusals"][0]


def test_near_copies_with_other_labels_are_a_doubt(check: Check, tmp_path: Path) -> None:
    files = sorted((tmp_path / "images" / "x").iterdir())
    picture = all_digits().image(0)
    levels = np.asarray(picture).copy()
    levels[0, 0] ^= 1
    Image.fromarray(levels).save(files[1])
    picture.save(files[0])
    code, result, _ = check(["a", "b", "", "a;b"] * 15)
    assert (code, len(result["near_duplicates_with_other_labels"])) == (0, 1)
    assert "2 images nearly the same as an image with other labels" in result["doubts"]
