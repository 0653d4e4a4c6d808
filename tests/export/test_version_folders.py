"""Folders of versions, as a running TensorFlow Serving reads them: at any moment, also after a kill."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from transfercli.errors import ArtefactError, UsageError
from transfercli.export.verify.checksums import verify_checksums
from transfercli.export.version_folders import Version, add_version, numbers_in
from transfercli.io.checksum import file_sha256
from transfercli.reporting import Reporter

# Adds a version, and is killed at the N-th call that makes a file, folder or name durable.
KILLED = """
import os, signal, sys
from pathlib import Path
from transfercli.export import version_folders
from transfercli.io import atomic
from transfercli.reporting import Reporter
base, artefact, keep, steps = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), [int(sys.argv[4])]
def counted(durable):
    def call(path):
        steps[0] -= 1
        if steps[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        durable(path)
    return call
atomic.fsync_file, atomic.fsync_folder = counted(atomic.fsync_file), counted(atomic.fsync_folder)
version_folders.add_version(base, artefact, keep, Reporter())
"""


@pytest.fixture
def artefact(exported, tmp_path) -> Path:
    """A SavedModel artefact of its own."""
    return shutil.copytree(exported.out / "saved_model", tmp_path / "artefact")


def of_run(artefact: Path, run: str) -> Path:
    """The artefact, as if another run had been exported."""
    for file in (artefact / "export.json", artefact / "assets.extra" / "transfercli.json"):
        content = json.loads(file.read_text())
        file.unlink()  # and not written into: a version may be a link to it
        file.write_text(json.dumps({**content, "run": run}))
    exported = json.loads((artefact / "export.json").read_text())
    exported["sha256"]["assets.extra/transfercli.json"] = file_sha256(artefact / "assets.extra" / "transfercli.json")
    (artefact / "export.json").write_text(json.dumps(exported))
    return artefact


def add(base: Path, artefact: Path, keep: int | None = None) -> Version:
    return add_version(base, artefact, keep, Reporter())


def served(base: Path) -> list[int]:
    """The versions that TensorFlow Serving would find, each of them checked to be whole."""
    for number in (numbers := numbers_in(base)):
        folder = base / str(number)
        verify_checksums(folder, json.loads((folder / "export.json").read_text()))
        assert (folder / "saved_model.pb").stat().st_size
        assert (folder / "labels.txt").is_file()
    return numbers


def test_numbers_grow_with_each_model(artefact: Path, tmp_path: Path) -> None:
    base = tmp_path / "served" / "digits"
    for number, run in enumerate(("digits/a", "digits/b", "digits/a"), start=1):
        assert add(base, of_run(artefact, run)) == Version(base / str(number), number, new=True)
    assert served(base) == [1, 2, 3]
    runs = [json.loads((base / str(number) / "export.json").read_text())["run"] for number in (1, 2, 3)]
    assert runs == ["digits/a", "digits/b", "digits/a"]
    assert not (base / "1" / "1").exists()


def test_the_same_model_twice_is_one_version(artefact: Path, tmp_path: Path) -> None:
    add(tmp_path / "served", artefact)
    exported = json.loads((artefact / "export.json").read_text())
    exported |= {"created": "another day", "load_seconds": 99.0}
    (artefact / "export.json").unlink()
    (artefact / "export.json").write_text(json.dumps(exported))
    assert add(tmp_path / "served", artefact) == Version(tmp_path / "served" / "1", 1, new=False)
    assert served(tmp_path / "served") == [1]


def test_a_damaged_newest_version_is_followed_by_a_whole_one(artefact: Path, tmp_path: Path) -> None:
    base = tmp_path / "served"
    add(base, artefact)
    (base / "1" / "saved_model.pb").unlink()
    assert add(base, artefact) == Version(base / "2", 2, new=True)


def test_old_versions_go_and_their_numbers_do_not_come_back(artefact: Path, tmp_path: Path) -> None:
    base = tmp_path / "served"
    for run in "abcd":
        add(base, of_run(artefact, run), keep=2)
    assert served(base) == [3, 4]
    assert sorted(path.name for path in base.iterdir()) == [".lock", "3", "4"]
    add(base, of_run(artefact, "e"), keep=1)
    assert served(base) == [5]


def test_what_others_put_there_stays_and_its_numbers_count(artefact: Path, tmp_path: Path) -> None:
    base = tmp_path / "served"
    for name in ("7", "notes", "003"):
        (base / name).mkdir(parents=True)
    assert add(base, artefact, keep=1).number == 8
    assert {"7", "notes", "003", "8"} <= {path.name for path in base.iterdir()}


@pytest.mark.parametrize("file", ["export.json", "run.json"])
def test_a_folder_that_is_an_artefact_or_a_run_is_refused(artefact: Path, tmp_path: Path, file: str) -> None:
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / file).write_text("{}")
    with pytest.raises(UsageError, match="cannot hold versions"):
        add(tmp_path / "served", artefact)


def test_a_damaged_artefact_becomes_no_version(artefact: Path, tmp_path: Path) -> None:
    index = artefact / "variables" / "variables.index"
    index.unlink()
    index.write_bytes(b"damaged")
    with pytest.raises(ArtefactError, match="checksum"):
        add(tmp_path / "served", artefact)
    assert not (tmp_path / "served").exists()


def test_an_artefact_of_another_format_is_refused(exported, tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="no saved_model"):
        add(tmp_path / "served", exported.out / "keras")


def test_a_kill_at_any_step_leaves_whole_versions_only(artefact: Path, tmp_path: Path) -> None:
    """The folder has one version and may keep one, so that a new one is added and the old one is removed."""
    base, step, found = tmp_path / "served", 0, set()
    add(base, of_run(artefact, "digits/old"))
    of_run(artefact, "digits/new")
    while True:
        trial = shutil.copytree(base, tmp_path / f"trial{step}")
        code = [sys.executable, "-c", KILLED, os.fspath(trial), os.fspath(artefact), "1", str(step)]
        status = subprocess.run(code, check=False, env={**os.environ, "PYTHONPATH": os.fspath(Path.cwd())}).returncode
        numbers = served(trial)
        found.add(tuple(numbers))
        assert numbers in ([1], [1, 2], [2])
        version = add(trial, artefact, keep=1)
        assert (version.number, served(trial)) == (2, [2])
        assert sorted(path.name for path in trial.iterdir()) == [".lock", "2"]
        if status == 0:
            break
        step += 1
    assert found == {(1,), (1, 2), (2,)}
    assert step > 8


def test_exports_at_the_same_time_get_numbers_of_their_own(artefact: Path, tmp_path: Path) -> None:
    base = tmp_path / "served"
    copies = [of_run(shutil.copytree(artefact, tmp_path / run), run) for run in ("a", "b", "c")]
    jobs = [
        subprocess.Popen(
            [sys.executable, "-c", KILLED, os.fspath(base), os.fspath(copy), "9", "1000"],
            env={**os.environ, "PYTHONPATH": os.fspath(Path.cwd())},
        )
        for copy in copies
    ]
    assert [job.wait() for job in jobs] == [0, 0, 0]
    assert served(base) == [1, 2, 3]
