"""Killed at every call that reaches the disk, and with a disk that is full or fails at each: a run goes on, exactly."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from tests.reliability.faults import ACTS, Crash, Disk, crash, crash_half_way
from tests.reliability.story import EPOCHS, play, run_of, whole_epochs, whole_lines
from transfercli.errors import EXIT_CODES, exit_code
from transfercli.reporting import Reporter


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, str]]:
    """What a run that nothing happens to asks of the disk."""
    folder = tmp_path_factory.mktemp("whole")
    with Disk(str(folder)).mounted() as disk:
        play(folder)
    return disk.seen


@pytest.fixture(scope="module")
def ending(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("ending")
    play(folder)
    return tensors_of(folder)


def tensors_of(folder: Path) -> dict[str, bytes]:
    """Every file of tensors that the run ends with, and which epochs are best and last."""
    place = run_of(folder).checkpoints
    files = {str(path.relative_to(place)): path.read_bytes() for path in sorted(place.rglob("*.safetensors"))}
    return files | {link: (place / link).readlink().name.encode() for link in ("best", "last")}


def broken_at(folder: Path, at: int, act) -> BaseException | None:
    """Play, with the disk breaking at a call; what came of it."""
    with Disk(str(folder), at, act).mounted():
        try:
            play(folder)
        except BaseException as error:
            return error
    return None


def check_goes_on(folder: Path, ending: dict[str, bytes]) -> None:
    """It ends with the same tensors; no whole epoch is trained again, and what the history had stays."""
    run = run_of(folder)
    lines, whole = whole_lines(run), whole_epochs(run)
    again = play(folder, attempt=2)
    assert tensors_of(folder) == ending
    assert not set(again.trained) & set(whole)
    history = whole_lines(run)
    assert history[: len(lines)] == lines
    assert [json.loads(line)["epoch"] for line in history] == list(range(1, EPOCHS + 1))
    assert json.loads(run.record.read_text())["status"] == "completed"
    left = [path.name for path in folder.rglob(".*") if path.name.endswith(".tmp")]
    assert left == []


def test_a_run_asks_the_disk_for_what_it_takes_to_be_durable(calls) -> None:
    kinds = {kind for kind, _ in calls}
    assert kinds >= {"create", "write", "fsync", "rename", "replace", "symlink", "mkdir", "unlink"}
    assert len(calls) > 150


# Calls of the disk that a fault is put at: every one takes most of a minute.
STEPS = pytest.mark.parametrize(
    "step", [pytest.param(1, marks=pytest.mark.slow, id="every call"), pytest.param(7, id="every seventh call")]
)


@STEPS
def test_killed_before_a_call_a_run_goes_on_to_the_same_tensors(tmp_path: Path, calls, ending, step: int) -> None:
    for at in range(1, len(calls) + 1, step):
        folder = tmp_path / str(at)
        folder.mkdir()
        assert isinstance(broken_at(folder, at, crash), Crash), calls[at - 1]
        check_goes_on(folder, ending)


def test_killed_in_the_middle_of_every_write_a_run_goes_on_to_the_same_tensors(tmp_path: Path, calls, ending) -> None:
    writes = [at for at, (kind, _) in enumerate(calls, start=1) if kind == "write"]
    assert len(writes) > 5 * EPOCHS
    for at in writes:
        folder = tmp_path / str(at)
        folder.mkdir()
        assert isinstance(broken_at(folder, at, crash_half_way), Crash)
        check_goes_on(folder, ending)


def test_killed_again_and_again_a_run_goes_on_to_the_same_tensors(tmp_path: Path, calls, ending) -> None:
    draw = random.Random(0)
    for trial in range(20):
        folder = tmp_path / str(trial)
        folder.mkdir()
        for _ in range(draw.randint(2, 5)):
            broken_at(folder, draw.randint(1, len(calls) // 2), draw.choice([crash, crash_half_way]))
        check_goes_on(folder, ending)


OTHERS = [pytest.param(kind, marks=pytest.mark.slow) for kind in ("failing", "full_once", "failing_once")]


@STEPS
@pytest.mark.parametrize("kind", ["full", *OTHERS])
def test_a_disk_that_is_full_or_fails_at_any_call_costs_no_whole_epoch(
    tmp_path: Path, calls, ending, kind: str, step: int
) -> None:
    refused = 0
    tried = list(enumerate(calls, start=1))[::step]
    for at, (_, path) in tried:
        folder = tmp_path / str(at)
        folder.mkdir()
        error = broken_at(folder, at, ACTS[kind])
        if error is not None:
            refused += 1
            assert exit_code(error) == EXIT_CODES["room"], (at, path, error)
        run = run_of(folder)
        if run.record.exists():
            json.loads(run.record.read_text())
        if whole := whole_epochs(run):
            last, _ = checkpoints_of(folder).newest(Reporter())
            assert last.progress["epoch"] == max(whole)
        check_goes_on(folder, ending)
    assert refused > len(tried) // 3


def checkpoints_of(folder: Path):
    from transfercli.training.checkpoints import Checkpoints

    return Checkpoints(run_of(folder).checkpoints)


def test_every_file_is_durable_before_its_folder_gets_its_name_and_that_before_the_next_epoch(calls) -> None:
    names = [path for kind, path in calls if kind == "rename"]
    assert [name.rpartition("/")[2] for name in names] == [f"epoch-{epoch:05d}" for epoch in range(1, EPOCHS + 1)]
    for name in names:
        renamed = calls.index(("rename", name))
        made = [path for kind, path in calls[:renamed] if kind == "create" and f".{name.rpartition('/')[2]}." in path]
        assert [path.rpartition("/")[2] for path in made] == [
            *("model.safetensors", "state.safetensors", "state.json", "manifest.json")
        ]
        for path in made:
            last_write = max(at for at, call in enumerate(calls) if call == ("write", path))
            assert last_write < calls.index(("fsync", path)) < renamed
        assert calls[renamed + 1] == ("fsync", name.rpartition("/")[0])
