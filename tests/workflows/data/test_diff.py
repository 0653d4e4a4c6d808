"""`data diff` against a run that really trained."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.listener import Listener
from transfercli.data.manifest import read_manifest
from transfercli.errors import ArtefactError, DataError
from transfercli.reporting import Reporter
from transfercli.runs.folder import RunFolder
from transfercli.workflows.data.diff import DiffRequest, diff_data


def diff(
    source: Any, data: Path | None = None, reporter: Reporter | None = None, run: str = "digits-source"
) -> dict[str, Any]:
    world, _ = source
    overrides = (f"data.train={data}",) if data else ()
    request = DiffRequest(world.folder / "digits-source.yaml", run, world.runs, overrides)
    return diff_data(request, reporter or Reporter()).as_json()


@pytest.fixture
def copy(tmp_path: Path, digits_folder: Path) -> Path:
    return Path(shutil.copytree(digits_folder / "digits-source", tmp_path / "copy"))


def test_the_data_that_a_run_trained_on_is_unchanged_also_elsewhere(source: Any, copy: Path) -> None:
    for data in (None, copy):
        found = diff(source, data)
        assert found["unchanged"] is True
        assert found["same"] == len(read_manifest(RunFolder(Path(source[1]["run"])).dataset))
        assert not any(found[key] for key in ("added", "removed", "changed", "relabelled", "moved", "renamed"))
        json.dumps(found, allow_nan=False)


def test_every_kind_of_change_is_listed_by_path(source: Any, copy: Path) -> None:
    train = copy / "train"
    first, second, third, fourth = sorted((train / "0").iterdir())[:4]
    first.unlink()
    second.write_bytes(third.read_bytes())
    fourth.rename(train / "1" / "was_zero.png")
    (train / "2" / "new.png").write_bytes(
        (copy / "test" / "2" / sorted(p.name for p in (copy / "test" / "2").iterdir())[0]).read_bytes() + b"\0"
    )
    shutil.copytree(train / "3", train / "nine")
    shutil.rmtree(train / "4")
    shutil.rmtree(copy / "test" / "4")
    found = diff(source, copy)
    assert f"train/0/{first.name}" in found["removed"]
    assert found["changed"] == [f"train/0/{second.name}"]
    assert found["relabelled"] == ["train/1/was_zero.png"]
    assert "train/2/new.png" in found["added"]
    assert (found["new_classes"], found["lost_classes"]) == (["nine"], ["4"])
    assert found["unchanged"] is False


def test_data_that_a_training_would_refuse_is_compared_with_a_warning(source: Any, copy: Path) -> None:
    (copy / "train" / "rare").mkdir()
    (copy / "train" / "rare" / "1.png").write_bytes(b"no image")
    reporter = Listener()
    found = diff(source, copy, reporter)
    assert any(
        "training would refuse this data: class 'rare' has no usable image" in text for text in reporter.warnings
    )
    assert found["unchanged"] is True


def test_a_class_is_lost_also_where_its_empty_folder_is_left(source: Any, copy: Path) -> None:
    removed = sorted(path.relative_to(copy).as_posix() for path in (copy / "train" / "4").iterdir())
    shutil.rmtree(copy / "test")
    shutil.rmtree(copy / "train" / "4")
    (copy / "train" / "4").mkdir()
    reporter = Listener()
    found = diff(source, copy, reporter)
    assert found["lost_classes"] == ["4"]
    assert [path for path in found["removed"] if path.startswith("train/")] == removed
    assert any("training would refuse this data: class '4' has no images" in text for text in reporter.warnings)


def test_no_data_and_no_run_are_errors(source: Any, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        diff(source, tmp_path / "gone")
    with pytest.raises(ArtefactError):
        diff(source, run="nobody")
