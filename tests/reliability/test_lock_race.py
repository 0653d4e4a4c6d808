"""Many starts of one experiment at once: one works, the others say so and leave it alone."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from transfercli.errors import BusyError
from transfercli.runs.lock import experiment_lock

ROUNDS, STARTS = 20, 20
LOADED = """
import sys
from transfercli.cli.app import main
try:
    main()
finally:
    print(*{"keras", "tensorflow"} & {*sys.modules})
"""


@pytest.mark.slow
def test_of_twenty_processes_that_ask_at_once_one_gets_the_lock_twenty_times(tmp_path: Path) -> None:
    """Light processes, let go together; the winner is killed, which frees the lock for the next round."""
    for _ in range(ROUNDS):
        go, verdicts, stay = os.pipe(), os.pipe(), os.pipe()
        children = [_contender(tmp_path / "flowers", go, verdicts, stay) for _ in range(STARTS)]
        os.close(go[1])  # all of them read the end of the pipe
        messages = b""
        while len(messages) < STARTS:
            messages += os.read(verdicts[0], STARTS)
        for end in (stay[1], stay[0], go[0], *verdicts):
            os.close(end)
        for pid in children:
            os.waitpid(pid, 0)
        assert sorted(messages) == sorted(b"w" + b"b" * (STARTS - 1))


def _contender(experiment: Path, go: tuple[int, int], verdicts: tuple[int, int], stay: tuple[int, int]) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        os.close(go[1])
        os.close(stay[1])
        os.read(go[0], 1)
        with experiment_lock(experiment):
            os.write(verdicts[1], b"w")
            os.read(stay[0], 1)
            os._exit(9)  # without leaving the block, as a kill does
    except BusyError as error:
        os.write(verdicts[1], b"b" if re.search(r"since 20\d\d-", error.message) else b"?")
    finally:
        os._exit(0)


def world(folder: Path, digits: Path) -> None:
    config = {
        "name": "flowers",
        "data": {"train": str(digits / "digits"), "image_size": 32},
        "model": {"base": "small_cnn", "weights": "none"},
        "transfer": {"strategy": "scratch"},
        "training": {"epochs": 100_000},
    }
    (folder / "c.yaml").write_text(yaml.safe_dump(config))


def starts(folder: Path, count: int) -> list[subprocess.Popen[str]]:
    command = [sys.executable, "-P", "-m", "transfercli", "finetune", "c.yaml"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    return [
        subprocess.Popen(
            command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        for _ in range(count)
    ]


def one_round(folder: Path, count: int) -> list[str]:
    """Complaints about one round of `count` starts; its winner is killed in the end."""
    running = starts(folder, count)
    try:
        ended = []
        while len(ended) < count - 1:
            ended = [one for one in running if one.poll() is not None]
            time.sleep(0.05)
        said = [(one.returncode, one.stderr.read() if one.stderr else "") for one in ended]
        wrong = [
            f"{code}: {text}" for code, text in said if code != 75 or not re.search(r"since 20\d\d-\d\d-\d\dT", text)
        ]
        return wrong + ["no winner"] * (len(ended) != count - 1)
    finally:
        for one in running:
            one.kill()
            one.wait()
            if one.stderr:
                one.stderr.close()


def test_of_four_starts_of_the_program_at_once_one_works(digits_folder: Path, tmp_path: Path) -> None:
    world(tmp_path, digits_folder)
    assert one_round(tmp_path, 4) == []


@pytest.mark.slow
def test_of_twenty_starts_of_the_program_at_once_one_works_twenty_times(digits_folder: Path, tmp_path: Path) -> None:
    world(tmp_path, digits_folder)
    assert [one_round(tmp_path, STARTS) for _ in range(ROUNDS)] == [[]] * ROUNDS


def test_a_second_start_needs_no_keras_to_say_that_it_is_busy(digits_folder: Path, tmp_path: Path) -> None:
    world(tmp_path, digits_folder)
    with experiment_lock(tmp_path / "runs" / "flowers"):
        done = subprocess.run(
            [sys.executable, "-c", LOADED, "finetune", "c.yaml", "--json"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 75
    assert done.stdout.splitlines()[-1] == ""
    assert '"kind": "busy"' in done.stdout
