"""What `config init` does not accept, and what a folder in the place of a run's file comes to."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest

from transfercli.cli.runner import run_command
from transfercli.data.manifest import read_assignments, read_manifest
from transfercli.errors import ArtefactError, DataError, UsageError
from transfercli.io import atomic
from transfercli.io.bounded import read_json
from transfercli.runs.folder import RunFolder, check_run_id
from transfercli.runs.lookup import find_run
from transfercli.runs.record import read_record
from transfercli.training import history
from transfercli.workflows.config.init import init_config


class ResourceExhaustedError(Exception):
    """By the name that TensorFlow gives it."""


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        ResourceExhaustedError("OOM when allocating tensor with shape[9]\nmore"),
        RuntimeError("RESOURCE_EXHAUSTED: Out of memory"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EFBIG, "File too large"),
    ],
)
def test_no_room_is_exit_8_wherever_it_happens(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    def work(_console: object) -> dict:
        raise error

    with pytest.raises(SystemExit) as left:
        run_command(work, lambda _: None, as_json=True, quiet=True, verbose=False)
    assert left.value.code == 8
    captured = capsys.readouterr()
    told = json.loads(captured.out)["error"]
    assert (told["code"], told["kind"]) == (8, "room")
    assert "files written before are complete" in told["message"]
    assert "bug" not in captured.err


def images(root: Path, **counts: int) -> Path:
    from PIL import Image

    for label, count in counts.items():
        (root / label).mkdir(parents=True)
        for number in range(count):
            Image.new("RGB", (40, 40), (number, 0, 0)).save(root / label / f"{number}.png")
    return root


def test_an_unknown_keras_set_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(DataError, match="allowed are keras:cifar10") as caught:
        init_config(None, "keras:cifar11", None)
    assert caught.value.hint == "did you mean keras:cifar10?"
    assert "keras:cifar10" in init_config(None, "keras:cifar10", None).text


@pytest.mark.parametrize("count, sides, needed", [(1, (), 3), (2, (), 3), (1, ("validation", "test"), 2)])
def test_a_class_that_training_would_refuse_gets_no_starter(tmp_path: Path, count: int, sides, needed: int) -> None:
    root = tmp_path / "photos"
    images(root / "train" if sides else root, cat=4, dog=count)
    for side in sides:
        images(root / side, cat=1, dog=1)
    output = tmp_path / "c.yaml"
    with pytest.raises(DataError, match=f"'dog' has {count} of the at least {needed} images"):
        init_config(None, str(root), output)
    assert not output.exists()


def test_as_many_images_as_training_needs_are_enough(tmp_path: Path) -> None:
    assert "train: " in init_config(None, str(images(tmp_path / "photos", cat=3, dog=3)), None).text


@pytest.mark.parametrize("read", [read_manifest, read_assignments, read_json, history.read])
def test_a_folder_in_the_place_of_a_run_s_file_is_a_damaged_run(tmp_path: Path, read) -> None:
    place = tmp_path / "a-file"
    place.mkdir()
    with pytest.raises(ArtefactError, match="cannot be read"):
        read(place)
    with pytest.raises(ArtefactError, match="it is a folder"), atomic.write_errors(place):
        place.open("a")


@pytest.mark.parametrize("name, value", [("data", "images"), ("config_folder", 3), ("versions", None)])
def test_a_record_of_another_kind_is_a_damaged_run(tmp_path: Path, name: str, value: object) -> None:
    facts = {"status": "completed", "command": "x", "config_folder": ".", "data": {}, "versions": {}}
    (tmp_path / "run.json").write_text(json.dumps(facts | {name: value}))
    with pytest.raises(ArtefactError, match="is damaged"):
        read_record(RunFolder(tmp_path))


@pytest.mark.parametrize("run_id", ["latest", "champion", "splits.csv", ".lock", "..", ""])
def test_an_id_that_stands_for_something_else_in_the_experiment_is_refused(run_id: str) -> None:
    with pytest.raises(UsageError, match="--run-id"):
        check_run_id(run_id)


@pytest.mark.parametrize("name", ["latest", "champion"])
def test_an_experiment_may_be_called_like_a_link_for_links_lie_below_it(tmp_path: Path, name: str) -> None:
    run = tmp_path / name / "r1"
    run.mkdir(parents=True)
    (run / "run.json").write_text('{"status": "completed"}')
    (run.parent / "latest").symlink_to("r1")
    assert {find_run(text, tmp_path).run_id for text in (name, f"{name}/r1", f"{name}@latest")} == {"r1"}
